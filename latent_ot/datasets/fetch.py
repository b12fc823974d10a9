"""Fetch the original files of a data set by torchvision's own loader, which shows a bar and checks MD5 sums."""

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from latent_ot.errors import InputError
from latent_ot.files import MACHINE, foreign, made, unwritable, writable
from latent_ot.interrupts import passing

SILENCE = 30.0  # seconds without a byte after which a server counts as not there


def fetch(name: str, data_dir: Path, loader: Callable[..., Any], by_hand: str | None) -> None:
    """Put the files that ``loader(root, download=True)`` fetches into ``data_dir``: whole and checked, or none of them.

    Args:
        name: the data set's.
        data_dir: the user's data folder.
        loader: a data set of torchvision.
        by_hand: what lacks and where it is to be put; None if nothing lacks and nothing is to be fetched.

    Raises:
        InputError: without a network, or for what is not the files, such as a web page or nothing.
        StoreError: if ``data_dir`` cannot be written, or has no room.
    """
    if by_hand is None:
        return
    writable(data_dir, "data folder")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        with made(data_dir), passing(Path(tempfile.mkdtemp(prefix=f".{name}.", dir=data_dir))) as part:
            try:
                loader(str(part), download=True)
            except Exception as error:  # what came may be anything
                _refuse(part, by_hand, error)
            _move(part, data_dir)
    finally:
        socket.setdefaulttimeout(before)


def _refuse(part: Path, by_hand: str, error: Exception) -> NoReturn:
    """Say in one line why nothing was fetched, and what came in its place."""
    if getattr(error, "errno", None) in MACHINE:
        raise unwritable(part.parent, error, what="data folder") from None  # type: ignore[arg-type]  # it has a number
    came = (f"{path.name} from there {what}" for path in sorted(part.rglob("*")) if (what := foreign(path)))
    why = next(
        (said for said in came if not said.endswith("folder")), " ".join(str(error).split()) or type(error).__name__
    )
    raise InputError(f"{by_hand}; it could not be fetched: {why}") from None


def _move(part: Path, place: Path) -> None:
    """Move what lies in one folder into another; a folder that is new there comes at once."""
    for piece in sorted(part.iterdir()):
        if (place / piece.name).is_dir():
            _move(piece, place / piece.name)
        else:
            piece.replace(place / piece.name)
