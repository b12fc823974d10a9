"""Writing the prepared form: a slice at a time, whole or not at all, whoever else reads or writes it meanwhile."""

import contextlib
import errno
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from latent_ot.datasets.content import CARD, Card, read_card, slices, write_card
from latent_ot.datasets.prepared import SPLITS, Kept, kept, stats
from latent_ot.datasets.stream import Pictures, Splits, Stream
from latent_ot.errors import StoreError
from latent_ot.files import made
from latent_ot.files import unwritable as refusal
from latent_ot.interrupts import passing

LINE_SECONDS = 5.0  # between lines on progress
ABANDONED_SECONDS = 3600.0  # a half-written set that nothing was added to for so long has lost its writer


def write(folder: Path, splits: Splits | Stream, card: Card | None = None, instead: Kept | None = None) -> Kept:
    """Write the prepared form and return it memory-mapped; what a reader finds is either nothing or all of it.

    Images go through memory a slice at a time, with their rate on stderr where that takes long. What another process
    has just put there of the same origin stays; ``instead`` is replaced, and who has that mapped into memory keeps it.

    Raises:
        OSError: if the folder cannot be written, or has no room; nothing is left behind.
        InputError: if an image of a stream cannot be read.
    """
    with made(folder.parent):
        _sweep(folder)
        if shutil.disk_usage(folder.parent).free < _bytes(splits):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # said before the hours that a large set takes
        return _write(folder, splits, card, instead)


def _write(folder: Path, splits: Splits | Stream, card: Card | None, instead: Kept | None) -> Kept:
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    written = _progress(folder.name, len(splits.train) + len(splits.test))
    with passing(part):
        for split in SPLITS:
            (part / split).mkdir()
            _save(part / split / "images.npy", getattr(splits, split), written)
            labels = getattr(splits, f"{split}_labels", None)
            if labels is not None:
                np.save(part / split / "labels.npy", labels.astype(np.int64))
        card = replace(card or Card(), notes=splits.notes)
        write_card(part, card)
        folder.mkdir(exist_ok=True)
        with _locked(folder):
            if not _is_there(folder, card, instead):
                for split in SPLITS[::-1]:
                    if (folder / split).exists():
                        (folder / split).replace(part / f"old-{split}")
                for piece in (CARD, *SPLITS):
                    (part / piece).replace(folder / piece)
            result = kept(folder)
    assert result is not None
    return result


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time exchange the arrays in a folder."""
    with (folder / ".lock").open("w") as file:
        with contextlib.suppress(OSError):  # some file systems have no locks; there two processes may meet
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_there(folder: Path, card: Card, instead: Kept | None) -> bool:
    """Say whether another process has just put there what this one is about to."""
    now = stats(folder)
    if now is None or (instead is not None and now == instead.stats):
        return False
    there = read_card(folder) or Card()
    return (there.origin, there.files) == (card.origin, card.files)


def _save(path: Path, images: np.ndarray | Pictures, written: Callable[[int], None]) -> None:
    """Write what ``np.save`` would write."""
    header = {"descr": images.dtype.str, "fortran_order": False, "shape": images.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for some in slices(images):
            file.write(some.data)
            written(len(some))


def _bytes(splits: Splits | Stream) -> int:
    return splits.train.nbytes + splits.test.nbytes


def _progress(name: str, total: int) -> Callable[[int], None]:
    """Return what is told of every few images written, and says so on stderr from time to time."""
    start = said = time.monotonic()
    done = 0

    def written(count: int) -> None:
        nonlocal done, said
        done, now = done + count, time.monotonic()
        if now - said > LINE_SECONDS:
            said, rate = now, done / (now - start)
            left = f"{rate:,.0f} images/s, {(total - done) / rate:,.0f} s left"
            print(f"{name}: {done:,} of {total:,} images prepared, {left}", file=sys.stderr)

    return written


def _sweep(folder: Path) -> None:
    """Remove what a killed writer of this set left behind."""
    for part in folder.parent.glob(f".{folder.name}.*"):
        try:
            last = max(path.stat().st_mtime for path in (part, *part.rglob("*")))
        except OSError:  # its writer has just removed it
            continue
        if part.is_dir() and time.time() - last > ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)


def unwritable(data_dir: Path, splits: Splits | Stream, error: OSError) -> StoreError:
    """Say that a set could not be written, and how much room it needs where that is why."""
    return refusal(data_dir, error, _bytes(splits), "data folder")
