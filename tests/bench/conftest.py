"""Copies of a store, so that each test may change what was made once for all of a file."""

import shutil
from dataclasses import replace

import pytest


@pytest.fixture
def with_a_store_of_its_own(tmp_path):
    """Return the same request with a copy of its store."""

    def copied(request):
        shutil.copytree(request.store, tmp_path / "runs")
        return replace(request, store=tmp_path / "runs")

    return copied
