"""``latent-ot prepare``: bring a data set into its prepared form, from its files, a download or a folder of images."""

import re
from dataclasses import replace
from pathlib import Path

from latent_ot.datasets import prepared, writer
from latent_ot.datasets.base import Arrays, Dataset, find, load, log, origin_today, sources
from latent_ot.datasets.content import Card, content_id, difference
from latent_ot.datasets.folder import Folder, parse
from latent_ot.datasets.kept import Making
from latent_ot.datasets.stream import Splits, Stream, part_name
from latent_ot.errors import InputError, StoreError
from latent_ot.files import shown, writable


def prepare(dataset: str, source: Path | None, data_dir: Path, download: bool = False, verify: bool = False) -> Dataset:
    """Write the prepared form of a data set under ``data_dir`` and return the set.

    Args:
        dataset: a data set's name; with ``source``, also a new name, with ``@SIZE`` behind it if its images are to be
            other than 32 px.
        source: folder with the set's original files (IDX, python batches), with prepared arrays, or with images.
        data_dir: the user's data folder.
        download: fetch the original files into ``data_dir`` first.
        verify: read prepared and original files again, whatever their sizes and times.

    Raises:
        InputError: if the name is unknown, files are missing or damaged, or another set of that name is there already.
        StoreError: if ``data_dir`` cannot be written.
    """
    if download or source is not None:
        writable(data_dir, "data folder")
    if source is not None and (dataset.startswith("folder:") or not source.is_dir()):
        raise InputError(f"source '{source}' of data set '{dataset}'; allowed: a folder, and a plain name")
    if download:
        find(dataset, data_dir).download(dataset, data_dir)
    name = dataset
    if source is not None:
        making, splits, card = _from(dataset, source, data_dir)
        name = making.key
        _keep(making, splits, card)
    result = load(name, data_dir, verify=verify)
    if result.kind == "image" and prepared.read(data_dir / result.id) is None:
        writable(data_dir / result.id, "data folder")
        raise StoreError(f"data folder '{shown(data_dir)}' did not take the set")
    return result


def _from(dataset: str, source: Path, data_dir: Path) -> tuple[Making, Splits | Stream, Card]:
    """Read the files in ``source`` as the data set; return how it is made (a part, if files lack), images and card."""
    arrays = prepared.kept(source)
    if dataset in sources():
        known = Making(sources()[dataset], dataset, dataset, data_dir, place=source)
        if known.source.kind == "points":
            raise InputError(f"data set '{dataset}' is made in code; it takes no source")
        if arrays is None:
            return known.read()
        copied = _copied(known, source, arrays.card)
        return copied, arrays.splits, Card(copied.origin)
    name, at, size = dataset.partition("@")
    if not re.fullmatch(prepared.NAME, name):
        raise InputError(f"data set name '{name}'; allowed: letters and digits, joined by single '_', '-' or '.'")
    if arrays:
        copied = Making(Arrays(name), name, name, data_dir, remade=False)
        return copied, arrays.splits, Card(copied.origin)
    images = f"folder:{source}{at}{size}"
    parse(images)
    return Making(Folder(), images, name, data_dir, place=source).read()


def _copied(known: Making, source: Path, card: Card | None) -> Making:
    """Return what made prepared arrays: the set's own source, as their card says, or else whoever laid them out."""
    if card is None or Arrays.__name__ in card.made_by():
        return Making(Arrays(known.name), known.name, known.key, known.data_dir, remade=False)
    subset = card.origin.get("subset") if card.origin else None
    key = known.name if subset is None else part_name(known.name, subset)
    copied = replace(known, key=key, subset=subset, place=None)
    if card.origin != copied.origin:
        why = difference(card.origin, copied.origin)
        raise InputError(f"arrays in '{source}': {why}; give the original files of '{known.name}'")
    return copied


def _keep(making: Making, splits: Splits | Stream, card: Card) -> None:
    """Write the images, unless the very same are there already."""
    there, origin, key = prepared.kept(making.folder), making.origin, making.key
    if there is not None and not _stale(making, there.card):
        if content_id(key, there.splits, origin) != content_id(key, splits, origin):
            raise InputError(f"'{making.folder}' holds other images; delete it, or take another name than '{key}'")
        return
    try:
        writer.write(making.folder, splits, card, there)
    except OSError as error:
        raise writer.unwritable(making.data_dir, splits, error) from None
    log.info("data set '%s' is prepared", key)


def _stale(making: Making, card: Card | None) -> bool:
    """Say whether what is there was made by a source, but as none makes it today."""
    if card is None or card.origin is None:
        return card is not None and making.name in sources()
    return origin_today(making.key, card.origin) != card.origin
