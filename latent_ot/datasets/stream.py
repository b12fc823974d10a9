"""Sets too large for memory: image files, read and brought to size a slice at a time while they are written."""

import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from latent_ot.datasets.images import scale
from latent_ot.datasets.order import numpy_generator
from latent_ot.errors import InputError
from latent_ot.files import reading, shown

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
SHARE = 10  # one image in so many is held back
THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes and resizes outside Python's lock


class Splits(NamedTuple):
    """Arrays of a data set; ``notes`` are for the user (files that could not be read, say)."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """Image files that stand for an array, uint8 (N, size, size, 3); a slice of it is made whenever it is asked for.

    ``names``: the files, in order. ``read``: name -> the file's bytes, from several threads at once. ``view``: RGB
    image -> RGB image of (size, size), or ValueError with what is allowed where the image is of a wrong size.
    """

    names: Sequence[str]
    read: Callable[[str], bytes]
    view: Callable[[Image.Image], Image.Image]
    size: int
    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array."""
        return (len(self.names), self.size, self.size, 3)

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return len(self.names) * self.size * self.size * 3

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return some rows, uint8 (n, size, size, 3).

        Raises:
            InputError: naming the file that cannot be read or is not as it should be.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(self._one, self.names[rows])))

    def _one(self, name: str) -> np.ndarray:
        place = getattr(getattr(self.read, "__self__", None), "root", None)
        at = f" in {shown(place)}" if place else ""
        try:
            image = Image.open(io.BytesIO(self.read(name))).convert("RGB")
        except Exception as error:  # a damaged file makes Pillow's decoders raise errors of almost any type
            kind = type(error).__name__
            raise InputError(f"'{shown(name)}'{at} is missing, damaged or no image ({kind}); fetch it again") from None
        try:
            return np.asarray(self.view(image))
        except ValueError as allowed:
            raise InputError(f"'{shown(name)}'{at} is {image.width}x{image.height}; allowed: {allowed}") from None


class Stream(NamedTuple):
    """A data set that is made while it is written. ``id``: what the files amount to; ``notes``: for the user."""

    id: str
    train: Pictures
    test: Pictures
    notes: tuple[str, ...] = ()


def stream(name: str, train: Pictures, test: Pictures, whole: bool, of: str) -> Stream:
    """Name a set by the files that are there: ``name`` if that is the ``whole`` set, else a numbered part of it.

    ``of``: what the whole is, for the note.

    Raises:
        InputError: if a split has no files at all.
    """
    here = f"{len(train):,} training and {len(test):,} test images"
    if not len(train) or not len(test):
        raise InputError(f"data set '{name}': {here} are here; allowed: at least one of each, of {of}")
    part = name if whole else part_name(name, len(train))
    return Stream(part, train, test, () if whole else (f"{here} are here, a part of '{name}' ({of})",))


def part_name(name: str, count: int) -> str:
    """Return the id of a part of a data set with ``count`` training images: ``mnist_10k``, ``mnist_250``."""
    return f"{name}_{count // 1000}k" if count % 1000 == 0 else f"{name}_{count}"


def parted(name: str) -> tuple[str, int] | None:
    """Return the set that an id as of ``part_name`` is a part of, and the part's training images; None of another."""
    part = re.fullmatch(r"(.+)_(\d+)(k?)", name)
    return (part[1], int(part[2]) * (1000 if part[3] else 1)) if part else None


def held_back(count: int, most: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Hold test images back where a set has no such split of use: a tenth of it, at most ``most``, once and for all.

    Returns:
        The training rows in random order, and the test rows in theirs.
    """
    order, test = numpy_generator(0, purpose).permutation(count), min(most, count // SHARE)
    return order[test:], np.sort(order[:test])


def held(most: int, purpose: str) -> dict[str, Any]:
    """Describe what ``held_back`` does, for a source's ``view``."""
    return {"test": most, "share": SHARE, "split": purpose}


def in_order(paths: Iterable[str]) -> list[str]:
    """Return those paths that are images and not hidden, in order of file name, whatever folders they lie in."""
    images = (path for path in paths if path.lower().endswith(ENDINGS))
    seen = (path for path in images if not any(part.startswith((".", "__MACOSX")) for part in path.split("/")))
    return sorted(seen, key=lambda path: (path.rpartition("/")[2], path))


class Folder:
    """The images under a folder. ``names``: their paths below it, in order of file name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        walk = ((Path(at).relative_to(root).as_posix(), files) for at, _, files in os.walk(root))
        self.names = in_order(f"{at}/{file}".removeprefix("./") for at, files in walk for file in files)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.root / name).read_bytes()


class Zip:
    """The images in a zip archive, read without unpacking it. ``names``: their paths, in order of file name."""

    def __init__(self, path: Path) -> None:
        self.root = path
        with reading(path, "a zip archive of images", "fetch it again"):
            self.archive = zipfile.ZipFile(path)
        self.names = in_order(self.archive.namelist())

    def read(self, name: str) -> bytes:
        """Return a file's bytes, checked against the archive's own sum."""
        return self.archive.read(name)


def crop(image: Image.Image, left: int, top: int, side: int, size: int) -> Image.Image:
    """Cut out a square and bring it to ``size`` by ``images.scale``.

    The filter sees nothing outside the square, unlike that of a resize that is given the square as its box.
    """
    return scale(image.crop((left, top, left + side, top + side)), (size, size))
