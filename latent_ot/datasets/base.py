"""What every data set promises, and how one is found by name and loaded.

A data set is a file in this folder that holds one ``Source``, found and not registered. Images are uint8 (N, H, W, C),
memory-mapped from the prepared form ``<data-dir>/<name>/<split>/images.npy`` that the first load writes; a folder of
that form under any other name is a data set of that name, too.
"""

import importlib
import logging
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from latent_ot.datasets import prepared
from latent_ot.datasets.order import numpy_generator, stratified_rows
from latent_ot.datasets.prepared import Splits
from latent_ot.datasets.stream import Stream, part_name
from latent_ot.errors import InputError, nearest

log = logging.getLogger("latent_ot")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test examples with everything that a run must know about them.

    ``train``, ``test``: uint8 (N, H, W, C), memory-mapped where large, or for points float32 (N, 2). Labels: int64
    (N,). ``content_id``: 12 hex digits of a hash over id, shapes and bytes. ``evaluator``: the one that scores this
    domain by default (None for points). ``shareable``: whether images may be published. ``modes`` (K, 2) and
    ``mode_std``: centres and standard deviation of a Gaussian mixture.
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

    ``data_dir`` is the user's data folder; ``source``, where it is given, one folder that holds this set's files alone.
    """

    names: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[Literal["image", "points"]] = "image"
    evaluator: str | None = "inception"
    shareable: bool = False

    def identify(self, name: str) -> str:
        """Return the id under which the set is kept."""
        return name

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say in one line what is not there and how to get it; None if ``read`` can start. Reads no data."""
        return None

    @abstractmethod
    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits | Stream:
        """Return the arrays made from the original files, or where they may exceed memory what makes them in slices."""

    def download(self, name: str, data_dir: Path) -> None:
        """Fetch the original files into ``data_dir``.

        Raises:
            InputError: if there is no download, or it fails.
        """
        raise InputError(f"data set '{name}' has no download; it needs none, or takes your own files")

    def mixture(self, name: str) -> tuple[np.ndarray | None, float | None]:
        """Return the centres (K, 2) and the standard deviation, where the set is a Gaussian mixture."""
        return None, None


class Arrays(Source):
    """A folder in the prepared form that no file here describes; scored like the known set its name begins with."""

    def __init__(self, name: str) -> None:
        kin = max((n for n in sources() if name.startswith(f"{n}_")), key=len, default=None)
        if kin is not None:
            self.evaluator, self.shareable = sources()[kin].evaluator, sources()[kin].shareable

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Return the arrays, memory-mapped."""
        splits = prepared.read(source or data_dir / name)
        if splits is None:
            raise InputError(f"data set '{name}': no train/images.npy in {source or data_dir / name}")
        return splits


@cache
def sources() -> dict[str, Source]:
    """Return every named data set: name -> source, one object a file."""
    found: dict[str, Source] = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"latent_ot.datasets.{path.stem}")
        here = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        for source in (v() for v in here if issubclass(v, Source) and v.names):
            found |= dict.fromkeys(source.names, source)
    return found


def names() -> list[str]:
    """Return the named data sets; ``folder:PATH`` and prepared folders come on top of them."""
    return sorted(sources())


def available(data_dir: Path) -> dict[str, str]:
    """Return for every named set and every prepared folder ``ready``, or what is missing and how to get it."""
    here = prepared.found(data_dir)
    states = {name: None if name in here else source.missing(name, data_dir) for name, source in sources().items()}
    return {name: state or "ready" for name, state in sorted({**dict.fromkeys(here), **states}.items())}


def find(name: str, data_dir: Path) -> Source:
    """Return the source of a data set name.

    Raises:
        InputError: if no data set is called so, with the nearest name.
    """
    if name.startswith("folder:"):
        from latent_ot.datasets.folder import Folder

        return Folder()
    if name in sources():
        return sources()[name]
    here = prepared.found(data_dir)
    if name in here:
        return Arrays(name)
    allowed = sorted({*names(), *here})
    listed = ", ".join(allowed)
    raise InputError(f"data set '{name}' is unknown; allowed: {listed}, folder:PATH{nearest(name, allowed)}")


def load(name: str, data_dir: Path, subset: int | None = None) -> Dataset:
    """Load a data set; the first load of images writes the prepared form, where ``data_dir`` can be written.

    Args:
        name: one of ``names()`` or its id with a subset (``mnist_10k``), ``folder:PATH``, ``folder:PATH@SIZE``, or a
            prepared folder's name.
        data_dir: the user's data folder.
        subset: train on this many images, drawn once and for all with every class in its share.

    Raises:
        InputError: if the name is unknown, files are missing or damaged, or the subset exceeds the set.
    """
    part = re.fullmatch(r"(.+)_(\d+)(k?)", name)
    known = {*sources(), *prepared.found(data_dir)}
    if subset is None and part and part[1] in known and name not in known:
        return load(part[1], data_dir, int(part[2]) * (1000 if part[3] else 1))
    source = find(name, data_dir)
    key = source.identify(name)
    whole = _load_points(source, key) if source.kind == "points" else _load_images(source, name, key, data_dir)
    return whole if subset is None else _subset(whole, subset)


def _load_points(source: Source, key: str) -> Dataset:
    splits = source.read(key, Path())
    assert isinstance(splits, Splits)
    modes, std = source.mixture(key)
    content = prepared.content_id(key, splits)
    return Dataset(key, "points", *splits[:4], content, None, source.shareable, modes, std)


def _load_images(source: Source, name: str, key: str, data_dir: Path) -> Dataset:
    splits, content = prepared.read(data_dir / key), None
    if splits is None:
        problem = source.missing(name, data_dir)
        if problem:
            raise InputError(problem)
        made = source.read(name, data_dir)
        if isinstance(made, Stream):  # only the files tell the whole set from a part with an id of its own
            key = made.id
        try:
            splits = prepared.read(data_dir / key) or prepared.write(data_dir / key, made)
        except OSError as error:
            if isinstance(made, Stream):
                raise prepared.unwritable(data_dir, made, error) from None
            why = error.strerror or error
            log.warning("data set '%s' stays in memory: %s cannot be written (%s)", key, data_dir, why)
            splits, content = made, prepared.content_id(key, made)
    for note in splits.notes:
        log.warning("data set '%s': %s", key, note)
    content = content or prepared.stored_content_id(data_dir / key, key, splits)
    return Dataset(key, "image", *splits[:4], content, source.evaluator, source.shareable)


def _subset(whole: Dataset, count: int) -> Dataset:
    if not 1 <= count <= len(whole.train):
        raise InputError(f"subset {count} of data set '{whole.id}'; allowed: 1 to {len(whole.train)} training images")
    if count == len(whole.train):
        return whole
    labels = np.zeros(len(whole.train), np.int64) if whole.train_labels is None else whole.train_labels
    rows = np.sort(stratified_rows(labels, count, numpy_generator(0, "subset")))
    key = part_name(whole.id, count)
    chosen = None if whole.train_labels is None else whole.train_labels[rows]
    splits = Splits(whole.train[rows], whole.test, chosen, whole.test_labels)
    return replace(whole, id=key, train=splits.train, train_labels=chosen, content_id=prepared.content_id(key, splits))
