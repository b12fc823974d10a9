"""The IDX files of MNIST and Fashion-MNIST, plain or gzipped, where torchvision downloads them."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.fetch import fetch
from latent_ot.datasets.images import resize, scaled
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits
from latent_ot.errors import InputError
from latent_ot.files import read_bytes, reading

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in an IDX file (big-endian: 0, 0, type 8, rank, then the extents, then the bytes).

    Raises:
        Damaged: if the file is truncated or something else.
    """
    what, then = "an IDX file of bytes, plain or gzipped", "fetch it again"
    raw = read_bytes(path, what, then)
    with reading(path, what, then):
        rank = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" else 0
        shape = np.frombuffer(raw, ">u4", rank, 4).tolist() if len(raw) >= 4 + 4 * rank else []
        if not shape or len(raw) != 4 + 4 * rank + math.prod(shape):
            raise ValueError(f"{len(raw)} bytes for shape {tuple(shape)}")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def plain(name: str) -> str:
    """Return the name that MNIST's own files have of one under which people keep it: with .gz, a dot for the dash."""
    return name.lower().removesuffix(".gz").replace(".", "-").replace("test-", "t10k-")


class IdxSource(Source):
    """A set in MNIST's format. ``names``: the 32 px form and the original 28 px one; ``folder``: torchvision's."""

    folder: str
    version = 1
    shareable = True
    downloads = True

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Name the first IDX file that is not there."""
        for file in (*FILES["train"], *FILES["test"]):
            if self._path(file, data_dir, source) is None:
                where = source or data_dir / self.folder / "raw"
                return (
                    f"data set '{name}': no {file} (or {file}.gz) in {where}; put the four IDX files there, or run "
                    f"`latent-ot prepare {name} --data-dir {data_dir} --download`"
                )
        return None

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the four files."""
        paths = (self._path(file, data_dir, source) for files in FILES.values() for file in files)
        return [path for path in paths if path is not None]

    def view(self, name: str) -> dict[str, Any]:
        """Name the size."""
        return scaled(_size(name))

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Read the four files and resize."""
        arrays = {}
        for split, files in FILES.items():
            paths = [self._path(file, data_dir, source) for file in files]
            images, labels = (read_idx(path) for path in paths if path)
            if images.ndim != 3 or labels.shape != images.shape[:1]:
                raise InputError(
                    f"'{paths[0]}' holds {images.shape} images for {labels.shape} labels; fetch both again"
                )
            arrays[split] = resize(images, _size(name)), labels.astype(np.int64)
        return Splits(arrays["train"][0], arrays["test"][0], arrays["train"][1], arrays["test"][1])

    def download(self, name: str, data_dir: Path) -> None:
        """Let torchvision fetch and check the files."""
        from torchvision import datasets

        fetch(name, data_dir, getattr(datasets, self.folder), self.missing(name, data_dir))

    def _path(self, file: str, data_dir: Path, source: Path | None) -> Path | None:
        """Return a file by any of its names, in its folder or in one of its own name there; a plain one first."""
        roots = [data_dir / self.folder] if source is None else [source, source / self.folder]
        for folder in (place for root in roots for place in (root, root / "raw")):
            near = sorted(folder.iterdir()) if folder.is_dir() else []
            inside = [
                path for one in near if one.is_dir() and plain(one.name) == file for path in sorted(one.iterdir())
            ]
            found = [path for path in (*near, *inside) if path.is_file() and plain(path.name) == file]
            if found:
                return min(found, key=lambda path: (path.name.lower().endswith(".gz"), path.name != file))
        return None


def _size(name: str) -> int:
    return 28 if name.endswith("28") else 32
