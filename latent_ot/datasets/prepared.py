"""The prepared form of images on disk: ``<folder>/{train,test}/{images,labels}.npy``, with their card beside them.

``images.npy`` is uint8 (N, H, W, C), ``labels.npy`` int64 (N,) and may be absent.
"""

import logging
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latent_ot.datasets.content import Card, file_state, read_card
from latent_ot.datasets.stream import Splits
from latent_ot.errors import Damaged, InputError
from latent_ot.files import read_array, set_aside

log = logging.getLogger("latent_ot")
NAME = r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*"  # safe in file names and as a part of a record's name
THEN = "delete its data set's folder, and load the set anew"
SPLITS = ("test", "train")  # train comes last when writing: its presence means that the set is whole


class Kept(NamedTuple):
    """Arrays on disk with their card, if they have one, and the files' [size, time] of each split."""

    splits: Splits
    card: Card | None
    stats: list[list[int]]


def found(data_dir: Path) -> list[str]:
    """Return the names of the prepared sets under a data folder."""
    names = (path.parts[-3] for path in data_dir.glob("*/train/images.npy"))
    return sorted(name for name in names if re.fullmatch(NAME, name))


def read(folder: Path) -> Splits | None:
    """Return the arrays of ``kept``."""
    there = kept(folder)
    return there.splits if there else None


def kept(folder: Path) -> Kept | None:
    """Map the prepared arrays in ``folder`` into memory, or return None if there are none.

    Raises:
        InputError: if a file is missing, truncated or not what it should be.
    """
    while True:  # until nobody has put other arrays there in the meantime
        before = stats(folder)
        if before is None:
            return None
        try:
            card = read_card(folder)
            splits = _read(folder, card)
        except InputError:
            if stats(folder) == before:
                raise
            continue
        if stats(folder) == before:
            return Kept(splits, card, before)


def sound(folder: Path) -> Kept | None:
    """Return what ``kept`` does of arrays that can be made again: damaged ones are set aside, and none are there."""
    try:
        return kept(folder)
    except Damaged as why:
        log.warning("%s: made anew", why.problem)
        for split in SPLITS:
            set_aside(folder / split / "images.npy")
        return None


def stats(folder: Path) -> list[list[int]] | None:
    """Return size and time of both splits' images; None if there are no training images."""
    train, test = (file_state(folder / split / "images.npy") for split in ("train", "test"))
    return [train, test] if any(train) else None


def _read(folder: Path, card: Card | None) -> Splits:
    images = {split: _array(folder / split / "images.npy") for split in SPLITS}
    labels: dict[str, np.ndarray | None] = {}
    for split, array in images.items():
        where = f"{folder / split / 'images.npy'}"
        square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] in (1, 3) and len(array)
        if array.dtype != np.uint8 or not square:
            raise InputError(
                f"'{where}' holds {array.dtype} {array.shape}; allowed: uint8 (N, S, S, 1 or 3) with N >= 1"
            )
        path = folder / split / "labels.npy"
        labels[split] = known = np.array(_array(path)) if path.is_file() else None
        if known is not None and (known.shape != array.shape[:1] or known.dtype.kind not in "iu"):
            raise InputError(f"'{path}' holds {known.dtype} {known.shape}; allowed: integers ({len(array)},)")
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise InputError(f"'{folder}': train {images['train'].shape[1:]} and test {images['test'].shape[1:]} differ")
    return Splits(images["train"], images["test"], labels["train"], labels["test"], card.notes if card else ())


def _array(path: Path) -> np.ndarray:
    return read_array(path, "a .npy array, as a prepared data set has it in train and in test", THEN)
