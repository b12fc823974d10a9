"""The prepared form of images on disk: ``<folder>/{train,test}/{images,labels}.npy``, with the content id beside it.

``images.npy`` is uint8 (N, H, W, C), ``labels.npy`` int64 (N,) and may be absent. ``content.json`` keeps what was said
when the set was made, and the content id, which is believed while the image files' sizes and times stay as recorded.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latent_ot.datasets.stream import Pictures, Stream
from latent_ot.errors import InputError

NAME = r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*"  # safe in file names and as a part of a record's name
SPLITS = ("test", "train")  # train comes last when writing: its presence means that the set is whole
SLICE_BYTES = 16 << 20  # of images in memory at once while a set is written
LINE_SECONDS = 5.0  # between lines on progress
ABANDONED_SECONDS = 3600.0  # a half-written set that nothing was added to for so long has lost its writer


class Splits(NamedTuple):
    """Arrays of a data set; ``notes`` are for the user (files that could not be read, say)."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def found(data_dir: Path) -> list[str]:
    """Return the names of the prepared sets under a data folder."""
    names = (path.parts[-3] for path in data_dir.glob("*/train/images.npy"))
    return sorted(name for name in names if re.fullmatch(NAME, name))


def read(folder: Path) -> Splits | None:
    """Map the prepared arrays in ``folder`` into memory, or return None if there are none.

    Raises:
        InputError: if a file is missing, truncated or not what it should be.
    """
    if not (folder / "train" / "images.npy").is_file():
        return None
    images = {split: _array(folder / split / "images.npy", mmap="r") for split in SPLITS}
    labels: dict[str, np.ndarray | None] = {}
    for split, array in images.items():
        where = f"{folder / split / 'images.npy'}"
        square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] in (1, 3) and len(array)
        if array.dtype != np.uint8 or not square:
            raise InputError(
                f"'{where}' holds {array.dtype} {array.shape}; allowed: uint8 (N, S, S, 1 or 3) with N >= 1"
            )
        path = folder / split / "labels.npy"
        labels[split] = known = _array(path) if path.is_file() else None
        if known is not None and (known.shape != array.shape[:1] or known.dtype.kind not in "iu"):
            raise InputError(f"'{path}' holds {known.dtype} {known.shape}; allowed: integers ({len(array)},)")
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise InputError(f"'{folder}': train {images['train'].shape[1:]} and test {images['test'].shape[1:]} differ")
    notes = tuple(_card(folder).get("notes", ()))
    return Splits(images["train"], images["test"], labels["train"], labels["test"], notes)


def _array(path: Path, mmap: Any = None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode=mmap, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"'{path}' is missing; a prepared data set needs images.npy in train and in test") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"'{path}' is damaged or no .npy array: {str(error).splitlines()[0]}") from None


def write(folder: Path, splits: Splits | Stream) -> Splits:
    """Write the prepared form and return it memory-mapped; what a reader finds is either nothing or all of it.

    Images go through memory a slice at a time, with their rate on stderr where that takes long.

    Raises:
        OSError: if the folder cannot be written, or has no room; nothing is left behind.
        InputError: if an image of a stream cannot be read.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    if shutil.disk_usage(folder.parent).free < _bytes(splits):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # said before the hours of work that a large set takes
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    written = _progress(folder.name, len(splits.train) + len(splits.test))
    try:
        for split in SPLITS:
            (part / split).mkdir()
            _save(part / split / "images.npy", getattr(splits, split), written)
            labels = getattr(splits, f"{split}_labels", None)
            if labels is not None:
                np.save(part / split / "labels.npy", labels.astype(np.int64))
        (part / "content.json").write_text(json.dumps({"notes": splits.notes}))
        folder.mkdir(exist_ok=True)
        for piece in ("content.json", *SPLITS):
            _move(part / piece, folder / piece)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    result = read(folder)
    assert result is not None
    return result


def _save(path: Path, images: np.ndarray | Pictures, written: Callable[[int], None]) -> None:
    """Write what ``np.save`` would write."""
    header = {"descr": images.dtype.str, "fortran_order": False, "shape": images.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for some in _slices(images):
            file.write(some.data)
            written(len(some))


def _slices(images: np.ndarray | Pictures) -> Iterator[np.ndarray]:
    step = max(1, SLICE_BYTES * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), step):
        yield np.ascontiguousarray(images[start : start + step])


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


def unwritable(data_dir: Path, splits: Splits | Stream, error: OSError) -> InputError:
    """Say that a set could not be written, and how much room it needs where that is why."""
    there = next(path for path in (data_dir, *data_dir.absolute().parents) if path.exists())
    need, free = _bytes(splits), shutil.disk_usage(there).free
    room = f": {need:,} bytes needed, {free:,} free" if free < need else ""
    return InputError(f"data folder '{data_dir}' cannot be written ({error.strerror or error}){room}")


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError:
        if not target.exists():  # a second process that made the same set at the same time may have been first
            raise


def content_id(key: str, splits: Splits | Stream) -> str:
    """Return 12 hex digits of sha256 over the id and both splits' shapes and bytes (labels are not part of it)."""
    digest = hashlib.sha256(key.encode())
    for array in (splits.train, splits.test):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for some in _slices(array):
            digest.update(some.data)
    return digest.hexdigest()[:12]


def stored_content_id(folder: Path, key: str, splits: Splits) -> str:
    """Return ``content_id``, computed once and kept in ``folder`` until the image files change."""
    stats = [(folder / split / "images.npy").stat() for split in SPLITS]
    state = [key, *([stat.st_size, stat.st_mtime_ns] for stat in stats)]
    card = _card(folder)
    if card.get("state") != state:
        card = {"notes": splits.notes, "state": state, "content_id": content_id(key, splits)}
        part = folder / f".content.{os.getpid()}.part"
        try:
            part.write_text(json.dumps(card))
            part.replace(folder / "content.json")
        except OSError:
            part.unlink(missing_ok=True)  # a data folder that cannot be written is hashed on every load
    return card["content_id"]


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / "content.json").read_text())
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
