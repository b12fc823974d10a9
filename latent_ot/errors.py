"""What ends a command before its end: one clear line and an exit code, never a traceback."""

import difflib
import operator
from collections.abc import Iterable
from typing import SupportsIndex


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, which somebody's names and files may hold."""
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


EXIT_CODES = {
    0: "done",
    1: "some run failed, diverged or ran out of memory",
    2: "bad input",
    3: "the machine's fault (disk, store)",
    130: "interrupted: the same command goes on",
}
"""What a command's exit code says."""


class InputError(ValueError):
    """A mistake in what a user asked for: what was given, its value, what is allowed and the nearest valid choice."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ContractError(InputError):
    """A user's own file, or one of the suite's, breaks a rule of what it is: the file's name and the rule."""


class RunFailed(Exception):
    """A run failed, diverged or ran out of memory, for the reason given."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class Refused(InputError):
    """A known method with valid settings, which cannot run here or may not be scored so; of "all" it is a row."""


class TooFew(InputError):
    """Fewer samples, pixels or classes than a figure needs: it is left out with this reason, others are still taken."""


class Damaged(InputError):
    """A file is missing, cut short, or not what it should be; what can be made again without it is."""

    @property
    def problem(self) -> str:
        """Which file, and what is wrong with it, without what it should be and what to do."""
        return str(self).partition("; allowed: ")[0]


class StoreError(OSError):
    """The machine's fault, such as a place that cannot be written or a full disk."""


class Declined(Exception):
    """A method cannot do what was asked, for the reason given; tables print that reason."""


def nearest(value: object, allowed: Iterable[object]) -> str:
    """Return ``; nearest: X`` for the allowed name closest to ``value``, or an empty string; case makes no distance."""
    names = {str(a).casefold(): str(a) for a in allowed}
    found = difflib.get_close_matches(str(value).casefold(), names, n=1, cutoff=0.4)
    return f"; nearest: {names[found[0]]}" if found else ""


def within(what: str, value: object, low: int, high: int) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``.

    Raises:
        InputError: naming ``what``, the value, what is allowed and the nearest of it.
    """
    number = operator.index(value) if isinstance(value, SupportsIndex) and not isinstance(value, bool) else None
    if number is None or not low <= number <= high:
        kind, near = ("a whole number, ", "") if number is None else ("", f"; nearest: {min(max(number, low), high)}")
        raise InputError(f"{what} = {value!r}; allowed: {kind}{low} or more, at most {high}{near}")
    return number


def choose(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        InputError: naming ``what``, the value, the allowed names and the nearest of them.
    """
    names = sorted(allowed)
    if value not in names:
        raise InputError(f"{what} '{value}' is unknown; allowed: {', '.join(names)}{nearest(value, names)}")
    return value
