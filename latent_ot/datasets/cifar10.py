"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test colour images at 32 px, from its python batches."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.fetch import fetch
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits
from latent_ot.errors import InputError
from latent_ot.files import shown, unpack_tar
from latent_ot.interrupts import passing

BATCHES, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"


class Cifar10(Source):
    """Read from ``<data-dir>/cifar-10-batches-py`` or from the archive beside it."""

    names = ("cifar10",)
    version = 1
    shareable = True
    downloads = True

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say so if there are neither batches nor the archive."""
        root = source or data_dir
        if (root / BATCHES).is_dir() or (root / ARCHIVE).is_file() or _root(data_dir, source) != root:
            return None
        return (
            f"data set 'cifar10': neither {BATCHES} nor {ARCHIVE} in {root}; put one there, or run "
            f"`latent-ot prepare cifar10 --data-dir {data_dir} --download`"
        )

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the batches, or the archive."""
        root = _root(data_dir, source)
        return sorted((root / BATCHES).glob("*_batch*")) if (root / BATCHES).is_dir() else [root / ARCHIVE]

    def view(self, name: str) -> dict[str, Any]:
        """Name nothing: images and split are the batches' own."""
        return {}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Read the batches; torchvision checks their MD5 before it unpickles them."""
        root = _root(data_dir, source)
        if (root / BATCHES).is_dir():
            return self._read(root)
        with passing(Path(tempfile.mkdtemp())) as folder:
            unpack_tar(root / ARCHIVE, folder, "CIFAR-10's archive of python batches")
            return self._read(folder)

    def _read(self, root: Path) -> Splits:
        from torchvision.datasets import CIFAR10

        try:
            train, test = (CIFAR10(root, train=is_train) for is_train in (True, False))
        except RuntimeError:
            where = f"a file in {BATCHES} in {shown(root)}"
            raise InputError(f"data set 'cifar10': {where} is missing or damaged; fetch it again") from None
        labels = [np.array(part.targets, dtype=np.int64) for part in (train, test)]
        return Splits(train.data, test.data, labels[0], labels[1])

    def download(self, name: str, data_dir: Path) -> None:
        """Let torchvision fetch and check the archive."""
        from torchvision.datasets import CIFAR10

        fetch(name, data_dir, CIFAR10, self.missing(name, data_dir))


def _root(data_dir: Path, source: Path | None) -> Path:
    root = source or data_dir
    return root.parent if root.name == BATCHES else root
