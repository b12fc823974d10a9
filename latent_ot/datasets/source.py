"""What every data set promises: the ``Dataset`` that a run gets, and the ``Source`` that makes it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from latent_ot.datasets.stream import Splits, Stream
from latent_ot.discovery import broken, plugin_files
from latent_ot.errors import InputError
from latent_ot.identity import lineage


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test examples with everything that a run must know about them.

    ``train``, ``test``: uint8 (N, H, W, C), memory-mapped where large, or for points float32 (N, 2). Labels: int64
    (N,). ``content_id``: 12 hex digits of a hash over origin, id, shapes and bytes. ``evaluator``: the one that scores
    this domain by default (None for points). ``shareable``: whether images may be published. ``modes`` (K, 2) and
    ``mode_std``: centres and standard deviation of a Gaussian mixture. ``origin``: as ``Source.origin`` has it.
    """

    id: str
    kind: Literal["image", "points"]
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    content_id: str = ""
    evaluator: str | None = None
    shareable: bool = False
    modes: np.ndarray | None = None
    mode_std: float | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example as networks see it: (C, H, W), or (2,)."""
        one = self.train.shape[1:]
        return (one[2], one[0], one[1]) if self.kind == "image" else one

    def __str__(self) -> str:
        what = "x".join(map(str, self.shape)) + (" images" if self.kind == "image" else "-D points")
        return f"{self.id}: {len(self.train):,} training and {len(self.test):,} test {what} ({self.content_id})"


class Source(ABC):
    """Where a data set comes from: one subclass in each file, answering to ``names``.

    ``version`` is raised when the same files come out as other arrays. ``data_dir`` is the user's data folder;
    ``source``, where it is given, one folder that holds this set's files alone.
    """

    names: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int]
    kind: ClassVar[Literal["image", "points"]] = "image"
    evaluator: str | None = "imagenet_lite0"
    shareable: bool = False
    downloads: bool = False
    """Whether ``download`` fetches what is missing; whoever loads the set then need not ask for it."""

    def identify(self, name: str, data_dir: Path | None = None) -> str:
        """Return the id under which the set is kept; what an earlier load noted in ``data_dir`` may save reading."""
        return name

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say in one line what is not there and how to get it; None if ``read`` can start. Reads no data."""
        return None

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the files and folders that ``read`` would read, where nothing is ``missing``."""
        return []

    @abstractmethod
    def view(self, name: str) -> dict[str, Any]:
        """Say as data how originals become what is trained on: crop, size, filter, split. ``read`` goes by the same."""

    @abstractmethod
    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits | Stream:
        """Return the arrays made from the original files, or where they may exceed memory what makes them in slices."""

    def origin(self, name: str, subset: int | None = None) -> dict[str, Any]:
        """Return versions and view that make the set as it is today, as JSON; ``subset``: training images of a part."""
        part = {} if subset is None else {"subset": subset}
        own = plugin_files(type(self))  # a user's own file may change without a version
        made_by = {"source": lineage(type(self)), **({"plugin": own} if own else {})}
        return json.loads(json.dumps({**made_by, "view": self.view(name), **part}))

    def download(self, name: str, data_dir: Path) -> None:
        """Fetch the original files into ``data_dir``.

        Raises:
            InputError: if there is no download, or it fails.
        """
        raise InputError(f"data set '{name}' has no download; it needs none, or takes your own files")

    def mixture(self, name: str) -> tuple[np.ndarray | None, float | None]:
        """Return the centres (K, 2) and the standard deviation, where the set is a Gaussian mixture."""
        return None, None


def looked_at(source: Source, splits: Splits | Stream) -> Splits | Stream:
    """Return what a source read, once it is what data sets are made of.

    Raises:
        ContractError: naming its file and what is wrong.
    """
    if isinstance(splits, Stream):
        return splits
    if not isinstance(splits, Splits):
        raise broken(type(source), f"read returns {type(splits).__name__}; allowed: Splits(train, test)")
    images = source.kind == "image"
    kind, rank, of = (np.uint8, 4, "uint8 (N, H, W, 1 or 3)") if images else (np.float32, 2, "finite float32 (N, 2)")
    for part in ("train", "test"):
        array, labels = getattr(splits, part), getattr(splits, f"{part}_labels")
        shape = np.shape(array)
        fits = getattr(array, "dtype", None) == kind and len(shape) == rank and shape[0] and shape[-1] in (1, 2, 3)
        if not fits or (not images and not np.isfinite(array).all()) or shape[1:] != np.shape(splits.train)[1:]:
            found = f"{getattr(array, 'dtype', type(array).__name__)} {shape}"
            raise broken(type(source), f"its {part} examples are {found}; allowed: {of}, one or more, of one shape")
        if labels is not None and np.shape(labels) != shape[:1]:
            raise broken(type(source), f"its {part} labels are {np.shape(labels)}; allowed: one for each example")
    return splits
