"""Versions of classes: every one counts that a class inherits, and only whole numbers from 1 are any."""

import pytest

from latent_ot.errors import InputError
from latent_ot.identity import lineage


class Base:
    version = 1


class Between(Base):
    pass


class Child(Between):
    version = 3


def test_a_raised_base_raises_its_children(monkeypatch):
    assert lineage(Child) == {"Child": 3, "Base": 1}
    assert lineage(Between) == {"Base": 1}  # it states none of its own
    monkeypatch.setattr(Base, "version", 2)
    assert lineage(Child) == {"Child": 3, "Base": 2}


@pytest.mark.parametrize("bad", [0, -1, "1", 1.0, None, True])
def test_a_version_is_a_whole_number_from_one(bad, monkeypatch):
    monkeypatch.setattr(Base, "version", bad)
    with pytest.raises(InputError, match=r"version .* of Base; allowed: whole numbers from 1"):
        lineage(Child)
