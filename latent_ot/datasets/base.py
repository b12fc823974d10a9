"""Data sets, found by name and loaded.

A data set is a file in this folder that holds one ``Source``, found and not registered. Images are uint8 (N, H, W, C),
memory-mapped from the prepared form ``<data-dir>/<name>/<split>/images.npy`` that the first load writes; a folder of
that form under any other name is a data set of that name, too.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets import prepared
from latent_ot.datasets.content import content_id, read_card
from latent_ot.datasets.kept import Making, log, serve
from latent_ot.datasets.order import numpy_generator, stratified_rows
from latent_ot.datasets.source import Dataset, Source, looked_at
from latent_ot.datasets.stream import Splits, part_name, parted
from latent_ot.discovery import discover
from latent_ot.errors import InputError, nearest


class Arrays(Source):
    """A folder in the prepared form that no file here made; scored like the known set its name begins with."""

    version = 1

    def __init__(self, name: str) -> None:
        kin = max((n for n in sources() if f"{name}_".startswith(f"{n}_")), key=len, default=None)
        if kin is not None:
            self.evaluator, self.shareable = sources()[kin].evaluator, sources()[kin].shareable

    def view(self, name: str) -> dict[str, Any]:
        """Name nothing: the arrays are the originals."""
        return {}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Return the arrays, memory-mapped."""
        splits = prepared.read(source or data_dir / name)
        if splits is None:
            raise InputError(f"data set '{name}': no train/images.npy in {source or data_dir / name}")
        return splits


def sources() -> dict[str, Source]:
    """Return every named data set: name -> source."""
    return {name: _source(kind) for kind in discover("datasets", Source).values() for name in kind.names}


@cache
def _source(kind: type[Source]) -> Source:
    return kind()


def names() -> list[str]:
    """Return the named data sets; ``folder:PATH`` and prepared folders come on top of them."""
    return sorted(sources())


def available(data_dir: Path) -> dict[str, str]:
    """Return for every named set and every prepared folder ``ready``, or what is missing and how to get it."""
    here = prepared.found(data_dir)
    states = {name: source.missing(name, data_dir) for name, source in sources().items() if name not in here}
    for name in here:
        try:
            making = _making(name, data_dir, verify=False)
            states[name] = making.at_hand().missing() if making.stale(read_card(making.folder)) else None
        except InputError as damage:
            states[name] = str(damage)
    return {name: state or "ready" for name, state in sorted(states.items())}


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


def origin_of(dataset_id: str) -> dict[str, Any] | None:
    """Return the origin that today's code gives a set of this id; None if no named source makes such a set.

    Numbered parts (``mnist_10k``, ``celeba64_6k_500``) are those of the set they begin with. No data are needed.
    """
    name, subset = _whole(dataset_id)
    return sources()[name].origin(name, subset) if name in sources() else None


def origin_today(dataset_id: str, recorded: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the origin that today's code gives a set that once had the origin ``recorded``; None if it makes none.

    Unlike ``origin_of``, it knows a user's arrays and folders of images, which may have any name.
    """
    made_by, subset = recorded.get("source", {}), recorded.get("subset")
    if Arrays.__name__ in made_by:
        return Arrays(dataset_id).origin(dataset_id, subset)
    if "Folder" in made_by:
        from latent_ot.datasets.folder import Folder

        return Folder().origin(f"folder:.@{recorded['view'].get('size', 32)}", subset)
    return origin_of(dataset_id)


def _whole(dataset_id: str) -> tuple[str, int | None]:
    """Return the named set that an id is a numbered part of, and the part's training images; or the id and None."""
    name, subset = dataset_id, None
    while name not in sources() and (part := parted(name)):
        name, subset = part[0], subset or part[1]
    return (name, subset) if name in sources() else (dataset_id, None)


def load(name: str, data_dir: Path, subset: int | None = None, verify: bool = False) -> Dataset:
    """Load a data set; the first load of images writes the prepared form, where ``data_dir`` can be written.

    Args:
        name: one of ``names()`` or its id with a subset (``mnist_10k``), ``folder:PATH``, ``folder:PATH@SIZE``, or a
            prepared folder's name.
        data_dir: the user's data folder.
        subset: train on this many images, drawn once and for all with every class in its share.
        verify: read prepared and original files again, whatever their sizes and times.

    Raises:
        InputError: if the name is unknown, files are missing or damaged, the subset exceeds the set, or images that an
            older version of the suite prepared cannot be made anew.
    """
    part, known = parted(name), {*sources(), *prepared.found(data_dir)}
    if subset is None and part and part[0] in known and name not in known:
        return load(part[0], data_dir, part[1], verify)
    making = _making(name, data_dir, verify)
    whole = _load_points(making) if making.source.kind == "points" else _load_images(making, verify)
    return whole if subset is None else _subset(whole, subset)


def _making(name: str, data_dir: Path, verify: bool) -> Making:
    """Return how a set is made; of prepared arrays the card says so, and without a card they are a user's own."""
    from latent_ot.datasets.folder import Folder, parse

    if name.startswith("folder:"):
        folder = Folder()
        key = folder.identify(name, None if verify else data_dir)
        return Making(folder, name, key, data_dir, place=parse(name)[0])
    source = find(name, data_dir)
    if source.kind == "points" or name not in prepared.found(data_dir):
        return Making(source, name, name, data_dir)
    card = read_card(data_dir / name)
    made_by = card.made_by() if card else frozenset({Arrays.__name__})
    place = data_dir / card.place if card and card.place else None
    whole, subset = _whole(name)
    if "Folder" in made_by or (not made_by and re.fullmatch(r"folder_.+_[0-9a-f]{8}", name)):
        size = card.origin.get("view", {}).get("size", 32) if card and card.origin else 32
        pictures, kin = Folder(), Arrays(name)
        pictures.evaluator, pictures.shareable = kin.evaluator, kin.shareable
        return Making(pictures, f"folder:{place or ''}@{size}", name, data_dir, place=place)
    # A part of a named set is a user's own where nobody noted that it is one, as whoever makes a part does.
    if whole in sources() and Arrays.__name__ not in made_by and (made_by or whole == name or (card and card.notes)):
        return Making(sources()[whole], whole, name, data_dir, subset, place)
    return Making(Arrays(name), name, name, data_dir, remade=False)


def _load_points(making: Making) -> Dataset:
    source, key, origin = making.source, making.key, making.origin
    splits = looked_at(source, source.read(key, Path()))
    assert isinstance(splits, Splits)
    modes, std = source.mixture(key)
    content = content_id(key, splits, origin)
    return Dataset(key, "points", *splits[:4], content, None, source.shareable, modes, std, origin)


def _load_images(making: Making, verify: bool) -> Dataset:
    key, splits, origin, content = serve(making, verify)
    for note in splits.notes:
        log.warning("data set '%s': %s", key, note)
    source = making.source
    return Dataset(key, "image", *splits[:4], content, source.evaluator, source.shareable, origin=origin)


def _subset(whole: Dataset, count: int) -> Dataset:
    if not 1 <= count <= len(whole.train):
        raise InputError(f"subset {count} of data set '{whole.id}'; allowed: 1 to {len(whole.train)} training images")
    if count == len(whole.train):
        return whole
    labels = np.zeros(len(whole.train), np.int64) if whole.train_labels is None else whole.train_labels
    rows = np.sort(stratified_rows(labels, count, numpy_generator(0, "subset")))
    key, origin = part_name(whole.id, count), {**whole.origin, "subset": count}
    chosen = None if whole.train_labels is None else whole.train_labels[rows]
    splits = Splits(whole.train[rows], whole.test, chosen, whole.test_labels)
    content = content_id(key, splits, origin)
    return replace(whole, id=key, train=splits.train, train_labels=chosen, content_id=content, origin=origin)
