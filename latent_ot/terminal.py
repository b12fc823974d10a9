"""What a command writes on: whether somebody looks at it, how wide it is, which letters it has, who has gone."""

import codecs
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from latent_ot.errors import StoreError

PLAIN = str.maketrans(
    {
        **{"↑": "^", "↓": "v", "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "≤": "<=", "≥": ">=", "±": "+-"},
        **{
            "†": "+",
            "‡": "#",
            "§": "$",
            "¶": "&",
            "‖": "=",
            "◊": "o",
            "∞": "inf",
            "’": "'",
            "‘": "'",
            "“": '"',
            "”": '"',
            "\u00a0": " ",
        },
    }
)
"""Signs of tables and their notes in ASCII, for a stream that has no other letters; marks stay apart."""
DUMB = ("dumb", "unknown")


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, and not that which a notebook's cell gives to a command run from it.

    Such a one is 80 columns wide, shows the codes that move a cursor as letters, and nobody can type there.
    """
    return stream.isatty() and "JPY_PARENT_PID" not in os.environ


def can_draw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that takes colours and codes that move its cursor."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in DUMB


def columns() -> int:
    """Return how wide the terminal is: what COLUMNS says if that is a number, else what the terminal does, else 80."""
    return shutil.get_terminal_size().columns


def clock(seconds: float) -> str:
    """Return seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def fits(text: str, stream: TextIO) -> str:
    """Return a text in letters that a stream has, before it is laid out; what has no stand-in is escaped later."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "".join(c if _has(stream, c) else c.translate(PLAIN) for c in text)
    return text


def _has(stream: TextIO, char: str) -> bool:
    try:
        char.encode(stream.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream's encoding lacks: by its sign in ASCII, or as JSON writes it."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(c.translate(PLAIN) if ord(c) in PLAIN else json.dumps(c)[1:-1] for c in lacking), error.end


codecs.register_error("latent_ot", _stand_in)


class _Stream:
    """A stream that may have nobody who reads it any more: head or less has gone, a progress display was closed.

    ``needed``: whether what is written is the command's result, so that a disk that is full ends it.
    """

    def __init__(self, stream: TextIO, needed: bool) -> None:
        self._stream, self._needed = stream, needed

    def write(self, text: str) -> int:
        """Write, or if the reader has gone, nothing from now on."""
        with self._unheard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        with self._unheard():
            self._stream.flush()

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # what is left must go somewhere
            if self._needed and not isinstance(error, BrokenPipeError):
                raise StoreError(f"output cannot be written: {error.strerror}") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Let a command speak to any stdout and stderr: closed ones, pipes whose reader goes, encodings of few letters.

    Raises:
        StoreError: where stdout leads to a disk that is full.
    """
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):  # rich and typer take some for a number that are none
        if not re.fullmatch("[0-9]{1,5}", os.environ.get(name, "")):
            os.environ.pop(name, None)
    with contextlib.ExitStack() as after:
        for name in ("stdout", "stderr"):
            before = getattr(sys, name)
            after.callback(setattr, sys, name, before)
            stream = before or after.enter_context(open(os.devnull, "w", encoding="utf-8"))
            if hasattr(stream, "reconfigure"):
                after.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="latent_ot")
            setattr(sys, name, ours := _Stream(stream, needed=name == "stdout"))
            after.callback(ours.flush)
        yield
