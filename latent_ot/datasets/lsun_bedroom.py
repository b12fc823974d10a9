"""LSUN bedrooms (Yu, Zhang, Song, Seff, Xiao, "LSUN", 2015): 3,033,042 photographs at 64 px, a part of them at 128 px.

The short side is resized by Pillow's antialiased bilinear filter, then the centred square is cut out. 10,000
photographs, drawn once and for all, are held out, since the official validation split has but 300. ``lsun_bedroom128``
trains on 100,000 drawn from the others, as many as GLDO draws, whose own draw is not known.

The files are the official LMDB, or the folder that LSUN's own ``data.py export`` makes of it: both give the same set.
File names tell LSUN's images from other people's bedrooms, which are a set of another name.
"""

import importlib.util
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latent_ot.datasets.images import scale, scaled
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Folder, Pictures, Stream, held, held_back, stream
from latent_ot.errors import InputError
from latent_ot.files import reading, shown

WHOLE, DRAWN = 3_033_042, 100_000
TEST, SPLIT = 10_000, "lsun_bedroom split"
LMDB, EXPORT = "bedroom_train_lmdb", "bedroom_train"
KEY = r"[0-9a-f]{40}\.(webp|jpg)|bedroom_\d{7}\.png"  # LSUN's own export, or guided-diffusion's


def view(image: Image.Image, size: int) -> Image.Image:
    """Return the centred square of an image whose short side is brought to ``size``."""
    short = min(image.size)
    if short < size:
        raise ValueError(f"a short side of {size} pixels or more")
    width, height = (int(size * side / short) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return scale(image, (width, height)).crop((left, top, left + size, top + size))


class Database:
    """The images of an LMDB. ``names``: its keys, in order."""

    def __init__(self, path: Path) -> None:
        import lmdb

        self.root = path
        with reading(path / "data.mdb", "LSUN's database", "fetch it again"):
            self.env = lmdb.open(str(path), readonly=True, lock=False, create=False)
            with self.env.begin() as transaction:
                self.names = [key.decode() for key in transaction.cursor().iternext(values=False)]

    def read(self, name: str) -> bytes:
        """Return an image's bytes."""
        with self.env.begin() as transaction:
            return transaction.get(name.encode(), b"")


class LsunBedroom(Source):
    """Read from ``<data-dir>/lsun``: bedroom_train_lmdb, or the images exported from it in bedroom_train."""

    names = ("lsun_bedroom64", "lsun_bedroom128")
    version = 1

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say so if there are no files, or if the package that reads them is not installed."""
        place = _place(data_dir, source)
        if place is None:
            where = source or data_dir / "lsun"
            return (
                f"data set '{name}': no {LMDB} or {EXPORT} in {where}; fetch bedroom_train_lmdb.zip by the script at "
                "https://github.com/fyu/lsun and unpack it there"
            )
        if (place / "data.mdb").is_file() and importlib.util.find_spec("lmdb") is None:
            return f"data set '{name}': the package lmdb is not installed; run `pip install lmdb`"
        return None

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the database's file, or the folder of the export."""
        place = _place(data_dir, source)
        return [] if place is None else [next((p for p in [place / "data.mdb"] if p.is_file()), place)]

    def view(self, name: str) -> dict[str, Any]:
        """Name size, filter, split and how many photographs are drawn to train on."""
        size = _size(name)
        return {**scaled(size), **held(TEST, SPLIT), "drawn": _drawn(size)}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Stream:
        """List the images; they are read while they are written."""
        place, size = _place(data_dir, source), _size(name)
        assert place is not None
        origin: Any = Database(place) if (place / "data.mdb").is_file() else _exported(place)
        rows, held_out = held_back(len(origin.names), TEST, SPLIT)
        train, test = (
            Pictures([origin.names[row] for row in chosen], origin.read, partial(view, size=size), size)
            for chosen in (np.sort(rows[: _drawn(size)]), held_out)
        )
        return stream(name, train, test, len(origin.names) == WHOLE, f"made of {WHOLE:,} photographs")


def _size(name: str) -> int:
    return int(name.removeprefix("lsun_bedroom"))


def _drawn(size: int) -> int | None:
    return DRAWN if size == 128 else None


def _place(data_dir: Path, source: Path | None) -> Path | None:
    roots = [source] if source else [data_dir / "lsun", data_dir]
    places = [root / name for root in roots for name in (LMDB, EXPORT)]
    return next((place for place in places if place.is_dir()), source)


def _exported(place: Path) -> Folder:
    folder = Folder(place)
    for path in folder.names:
        if not re.fullmatch(KEY, path.rpartition("/")[2]):
            raise InputError(
                f"'{shown(path)}' in {shown(place)} has no name of LSUN's (40 hex digits); other bedrooms take another "
                f"name: latent-ot prepare my_bedrooms@64 --source {place}"
            )
    return folder
