"""Mistakes in what a user asked for: one clear line, exit code 2, never a traceback."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was given, its value, what is allowed and the nearest valid choice, in one line."""


class Refused(InputError):
    """A known method with valid settings, which cannot run here or may not be scored so; of "all" it is a row."""


class StoreError(Exception):
    """The place where results are kept cannot be written: one clear line, exit code 3."""


class Declined(Exception):
    """A method cannot do what was asked, for the reason given; tables print that reason."""


def nearest(value: object, allowed: Iterable[object]) -> str:
    """Return ``; nearest: X`` for the allowed name closest to ``value``, or an empty string."""
    found = difflib.get_close_matches(str(value), [str(a) for a in allowed], n=1, cutoff=0.4)
    return f"; nearest: {found[0]}" if found else ""


def choose(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        InputError: naming ``what``, the value, the allowed names and the nearest of them.
    """
    names = sorted(allowed)
    if value not in names:
        raise InputError(f"{what} '{value}' is unknown; allowed: {', '.join(names)}{nearest(value, names)}")
    return value
