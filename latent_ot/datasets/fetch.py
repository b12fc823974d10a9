"""Fetch the original files of a data set by torchvision's own loader, which shows a bar and checks MD5 sums."""

import socket
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from latent_ot.errors import InputError

SILENCE = 30.0  # seconds without a byte after which a server counts as not there


def fetch(name: str, data_dir: Path, loader: Callable[..., Any], by_hand: str | None) -> None:
    """Put the files that ``loader(root, download=True)`` fetches into ``data_dir``: whole and checked, or none of them.

    Args:
        name: the data set's.
        data_dir: the user's data folder.
        loader: a data set of torchvision.
        by_hand: what lacks and where it is to be put; None if nothing lacks and nothing is to be fetched.

    Raises:
        InputError: without a network, for a wrong checksum, or if ``data_dir`` cannot be written.
    """
    if by_hand is None:
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=f".{name}.", dir=data_dir)
    except OSError as error:
        raise InputError(f"data folder '{data_dir}' cannot be written ({error.strerror or error})") from None
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        with made as part:
            loader(part, download=True)
            _move(Path(part), data_dir)
    except (OSError, RuntimeError, HTTPException) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{by_hand}; it could not be fetched: {why}") from None
    finally:
        socket.setdefaulttimeout(before)


def _move(part: Path, place: Path) -> None:
    """Move what lies in one folder into another; a folder that is new there comes at once."""
    for piece in sorted(part.iterdir()):
        if (place / piece.name).is_dir():
            _move(piece, place / piece.name)
        else:
            piece.replace(place / piece.name)
