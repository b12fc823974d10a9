"""The prepared form of images on disk: ``<folder>/{train,test}/{images,labels}.npy``, with the content id beside it.

``images.npy`` is uint8 (N, H, W, C), ``labels.npy`` int64 (N,) and may be absent. ``content.json`` keeps what was said
when the set was made, and the content id, which is believed while the image files' sizes and times stay as recorded.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latent_ot.errors import InputError

NAME = r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*"  # safe in file names and as a part of a record's name
SPLITS = ("test", "train")  # train comes last when writing: its presence means that the set is whole


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


def write(folder: Path, splits: Splits) -> Splits:
    """Write the prepared form and return it memory-mapped; what a reader finds is either nothing or all of it.

    Raises:
        OSError: if the folder cannot be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for split in SPLITS:
            (part / split).mkdir()
            np.save(part / split / "images.npy", getattr(splits, split))
            labels = getattr(splits, f"{split}_labels")
            if labels is not None:
                np.save(part / split / "labels.npy", labels.astype(np.int64))
        (part / "content.json").write_text(json.dumps({"notes": splits.notes}))
        folder.mkdir(exist_ok=True)
        for piece in ("content.json", *SPLITS):
            _move(part / piece, folder / piece)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    written = read(folder)
    assert written is not None
    return written


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError:
        if not target.exists():  # a second process that made the same set at the same time may have been first
            raise


def content_id(key: str, splits: Splits) -> str:
    """Return 12 hex digits of sha256 over the id and both splits' shapes and bytes (labels are not part of it)."""
    digest = hashlib.sha256(key.encode())
    for array in (splits.train, splits.test):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 4096):
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
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
