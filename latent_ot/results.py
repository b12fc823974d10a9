"""A folder of results: one JSON file per run and protocol, and one table of curves a data set beside them."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from latent_ot.curve_table import SUFFIX, Block, pack, unpack
from latent_ot.errors import InputError, nearest
from latent_ot.files import write_atomic
from latent_ot.record import Record, parse, written

LOCK = ".lock"


def load(root: Path, stored: bool = False) -> list[Record]:
    """Return the records of ``root/results``, sorted by file name; an absent folder holds none.

    ``stored`` is what they say of themselves: whether ``root`` is a store, not what is published. One whose files do
    not agree with its checksum, or that has none, is outdated: it was edited.

    Raises:
        InputError: for a malformed file, or one whose name is not that of the run inside.
    """
    found = _load(root)
    if any(record.outdated for record in found):  # or was another command just writing it?
        found = _load(root)
    return [record.model_copy(update={"stored": True}) for record in found] if stored else found


def _load(root: Path) -> list[Record]:
    rows = {s: (b.rows, path) for path in _tables(root) for s, b in unpack(path).items()}
    records = []
    for path in sorted((root / "results").glob("*.json")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        record = parse(text, str(path))
        if record.stem != path.stem:
            raise InputError(f"{path} holds the run '{record.stem}'; allowed: a file of that name")
        own, table = rows.get(record.stem, (b"", path))
        if not record.holding(own).vouches_for(text):
            try:
                _ = record.curves  # rows that nobody vouches for may be anything
            except ValueError as error:
                told = str(error).splitlines()[0]
                raise InputError(f"{table} is no table of curves: rows of {record.stem}: {told}") from None
            what = "differs" if record.checksum else "is missing"
            record = record.model_copy(update={"outdated": (f"edited: its checksum {what}",)})
        records.append(record)
    return records


def _tables(root: Path) -> list[Path]:
    return sorted((root / "results").glob(f"*{SUFFIX}"))


def add(root: Path, records: Iterable[Record | Mapping[str, Any]]) -> list[Path]:
    """Write records under ``root/results``, each in place of an older one of its run and protocol, and their curves.

    Commands that write at the same time wait for one another.

    Returns:
        The JSON files.

    Raises:
        InputError: for a record that ``parse`` would refuse (see ``dump``), before anything is written.
    """
    results, new = root / "results", {}
    for given in records:
        data, rows, record = written(given)
        new[record.stem] = record.dataset, data, rows
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(results / LOCK):
        for dataset in sorted({dataset for dataset, *_ in new.values()}):
            path = results / f"{dataset}{SUFFIX}"
            kept = {s: b for s, b in (unpack(path) if path.exists() else {}).items() if s not in new}
            blocks = {stem: block for stem, block in kept.items() if (results / f"{stem}.json").exists()}
            blocks |= {stem: Block.of(rows) for stem, (of, _, rows) in new.items() if rows and of == dataset}
            _write_table(path, blocks)
        for stem, (_, data, _) in new.items():
            write_atomic(results / f"{stem}.json", data)
    return [results / f"{stem}.json" for stem in new]


def remove(root: Path, stems: Iterable[str]) -> None:
    """Remove records from ``root/results`` with their curves and pictures.

    Raises:
        InputError: for a stem of no record, before anything is removed.
    """
    results, unwanted = root / "results", set(stems)
    known = {path.stem for path in results.glob("*.json")}
    for stem in sorted(unwanted - known):
        raise InputError(f"record '{stem}' is not in {results}{nearest(stem, known)}")
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(results / LOCK):
        for stem in unwanted:
            for path in (*results.glob(f"{glob.escape(stem)}.png"), *results.glob(f"{glob.escape(stem)}.*.png")):
                path.unlink()
            (results / f"{stem}.json").unlink()
        for path in _tables(root):
            blocks = unpack(path)
            if blocks.keys() & unwanted:
                _write_table(path, {stem: block for stem, block in blocks.items() if stem not in unwanted})


def _write_table(path: Path, blocks: Mapping[str, Block]) -> None:
    """Write a table that has rows; one without does not exist."""
    if blocks:
        write_atomic(path, pack(blocks))
    else:
        path.unlink(missing_ok=True)


def merge(published: Sequence[Record], stored: Sequence[Record]) -> list[Record]:
    """Return one record for each run and protocol, by stem: one that is not outdated, else the store's.

    A record of the store that equals the published one is that, and not marked as ``stored``.
    """
    found = {record.stem: record for record in published}
    for record in stored:
        other = found.get(record.stem)
        if other is None:
            better = True
        elif bool(other.outdated) != bool(record.outdated):
            better = bool(other.outdated)
        else:
            better = record.checksum is None or record.checksum != other.checksum
        if better:
            found[record.stem] = record.model_copy(update={"stored": True})
    return [found[stem] for stem in sorted(found)]
