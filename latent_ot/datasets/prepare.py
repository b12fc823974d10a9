"""``latent-ot prepare``: bring a data set into its prepared form, from its files, a download or a folder of images."""

import re
from pathlib import Path

from latent_ot.datasets import prepared
from latent_ot.datasets.base import Dataset, find, load, log, sources
from latent_ot.datasets.folder import parse, read_images
from latent_ot.datasets.prepared import Splits
from latent_ot.datasets.stream import Stream
from latent_ot.errors import InputError


def prepare(dataset: str, source: Path | None, data_dir: Path, download: bool = False) -> Dataset:
    """Write the prepared form of a data set under ``data_dir`` and return the set.

    Args:
        dataset: a data set's name; with ``source``, also a new name, with ``@SIZE`` behind it if its images are to be
            other than 32 px.
        source: folder with the set's original files (IDX, python batches), with prepared arrays, or with images.
        data_dir: the user's data folder.
        download: fetch the original files into ``data_dir`` first.

    Raises:
        InputError: if the name is unknown, files are missing or damaged, another set of that name is already there, or
            ``data_dir`` cannot be written.
    """
    if source is not None and (dataset.startswith("folder:") or not source.is_dir()):
        raise InputError(f"source '{source}' of data set '{dataset}'; allowed: a folder, and a plain name")
    if download:
        find(dataset, data_dir).download(dataset, data_dir)
    name = dataset
    if source is not None:
        name, splits = _from(dataset, source, data_dir)
        _keep(name, splits, data_dir)
    result = load(name, data_dir)
    if result.kind == "image" and prepared.read(data_dir / result.id) is None:
        raise InputError(f"data folder '{data_dir}' cannot be written")
    return result


def _from(dataset: str, source: Path, data_dir: Path) -> tuple[str, Splits | Stream]:
    """Read the files in ``source`` as the data set; return its plain name (a part's, if files lack) and the images."""
    arrays = prepared.read(source)
    if dataset in sources():
        origin = sources()[dataset]
        problem = None if arrays else origin.missing(dataset, data_dir, source)
        if problem or origin.kind == "points":
            raise InputError(problem or f"data set '{dataset}' is made in code; it takes no source")
        found = arrays or origin.read(dataset, data_dir, source)
        return (found.id if isinstance(found, Stream) else dataset), found
    name, at, size = dataset.partition("@")
    if not re.fullmatch(prepared.NAME, name):
        raise InputError(f"data set name '{name}'; allowed: letters and digits, joined by single '_', '-' or '.'")
    return name, arrays or read_images(source, parse(f"folder:{source}{at}{size}")[1])


def _keep(name: str, splits: Splits | Stream, data_dir: Path) -> None:
    """Write the arrays, unless the very same are there already."""
    there = prepared.read(data_dir / name)
    if there is not None:
        if prepared.content_id(name, there) != prepared.content_id(name, splits):
            raise InputError(f"'{data_dir / name}' holds other images; delete it, or take another name than '{name}'")
        return
    try:
        prepared.write(data_dir / name, splits)
    except OSError as error:
        raise prepared.unwritable(data_dir, splits, error) from None
    log.info("data set '%s' is prepared", name)
