"""A folder of results: one JSON file per run and protocol, and one table of curves a data set beside them."""

import csv
import glob
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from latent_ot.curve_table import SUFFIX, Block, pack, unpack
from latent_ot.errors import Damaged, InputError, nearest
from latent_ot.files import locked, read_text, set_aside, shown, write_atomic
from latent_ot.record import COPIED, DATA, OtherForm, Record, parse, written

LOCK = ".lock"


def load(root: Path, stored: bool = False) -> list[Record]:
    """Return the records of ``root/results``, sorted by file name; an absent folder holds none.

    ``stored`` is what they say of themselves: whether ``root`` is a store, not what is published. One whose files do
    not agree with its checksum, or that has none, is outdated: it was edited. A file that holds no record, or one of
    another name, is left out and named in one line on stderr.

    Raises:
        OtherForm: for a published record in the form of another version, without which pages would lose its row.
        InputError: if ``root`` is no folder.
    """
    found = look(root, strict=not stored)
    if found.damaged or any(record.outdated for record in found.records):  # or was another command just writing it?
        found = look(root, strict=not stored)
    for why in found.damaged.values():
        if why not in _said:
            print(f"{why}: left out", file=sys.stderr)
            _said.add(why)
    return [r.model_copy(update={"stored": True}) for r in found.records] if stored else found.records


_said: set[str] = set()
"""Lines on damaged files, each of which a command says once."""


class Found(NamedTuple):
    """The records of a folder, and the file names, without ending, of what is damaged -> what is wrong with it."""

    records: list[Record]
    damaged: dict[str, str]


def look(root: Path, strict: bool = False) -> Found:
    """Read all of a folder; see ``load``. ``strict``: refuse records of another form, which else are damaged ones."""
    if root.exists() and not root.is_dir():
        raise InputError(f"'{shown(root)}' is no folder; allowed: one that holds results/, or a new one")
    rows: dict[str, bytes] = {}
    found = Found([], {})
    for path in _tables(root):
        blocks, why = unpack(path)
        rows |= {stem: block.rows for stem, block in blocks.items()}
        if why is not None:
            found.damaged[path.name.removesuffix(SUFFIX)] = why.problem
    for path in sorted((root / "results").glob("*.json")):
        try:
            found.records.append(_read(path, rows, found.damaged))
        except OtherForm as why:
            if strict:
                raise
            found.damaged[path.stem] = str(why)
        except InputError as why:
            if path.exists():  # not just removed by another command
                found.damaged[path.stem] = why.problem if isinstance(why, Damaged) else str(why)
    return found


def _read(path: Path, rows: Mapping[str, bytes], damaged: dict[str, str]) -> Record:
    """Return the record in a file, with its rows of the curves' table; to ``damaged`` goes what is wrong with them."""
    text = read_text(path, "the record of a run", "run its command again")
    record = parse(text, shown(path))
    if record.stem != path.stem:
        raise InputError(f"{shown(path)} holds the run '{record.stem}'; allowed: a file of that name")
    if record.holding(rows.get(record.stem, b"")).vouches_for(text):
        return record
    what = "differs" if record.checksum else "is missing"
    record = record.model_copy(update={"outdated": (f"edited: its checksum {what}",)})
    try:
        _ = record.curves  # rows that nobody vouches for may be anything
    except (ValueError, csv.Error) as error:
        table = path.with_name(f"{record.dataset}{SUFFIX}")
        told = str(error).splitlines()[0]
        damaged[table.name] = f"'{shown(table)}' is damaged (rows of {record.stem}: {told})"
        return record.holding(b"")
    return record


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
    with locked(results / LOCK):
        for dataset in sorted({dataset for dataset, *_ in new.values()}):
            path = results / f"{dataset}{SUFFIX}"
            kept = {s: b for s, b in _unpack(path).items() if s not in new}
            blocks = {stem: block for stem, block in kept.items() if (results / f"{stem}.json").exists()}
            blocks |= {stem: Block.of(rows) for stem, (of, _, rows) in new.items() if rows and of == dataset}
            _write_table(path, blocks)
        for stem, (_, data, _) in new.items():
            write_atomic(results / f"{stem}.json", data, durable=True)
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
    with locked(results / LOCK):
        for stem in unwanted:
            for path in (*results.glob(f"{glob.escape(stem)}.png"), *results.glob(f"{glob.escape(stem)}.*.png")):
                path.unlink()
            (results / f"{stem}.json").unlink()
        for path in _tables(root):
            blocks = _unpack(path)
            if blocks.keys() & unwanted:
                _write_table(path, {stem: block for stem, block in blocks.items() if stem not in unwanted})


def _unpack(path: Path) -> dict[str, Block]:
    """Return the blocks of a table that is to be written anew; a damaged one is kept under another name."""
    if not path.exists():
        return {}
    blocks, why = unpack(path)
    if why is not None:
        print(f"{why.problem}: kept as {shown(set_aside(path).name)}", file=sys.stderr)
    return blocks


def _write_table(path: Path, blocks: Mapping[str, Block]) -> None:
    """Write a table that has rows; one without does not exist."""
    if blocks:
        write_atomic(path, pack(blocks), durable=True)
    else:
        path.unlink(missing_ok=True)


def repeating(group: Iterable[Record]) -> set[str] | None:
    """Return the methods that repeat their training images, of runs of one data set, protocol, budget and threads.

    Their mean share of samples that are nearer to a training image than that is to its nearest other lies above the
    upper end of the interval of the held-out images' share. None where that was not measured.
    """
    bounds: list[float] = []
    shares: dict[str, list[float]] = {}
    for run in group:
        if run.method == DATA:
            bounds += [run.intervals[COPIED][1]] if COPIED in run.intervals else []
        elif run.status == "done" and COPIED in run.metrics:
            shares.setdefault(run.method, []).append(run.metrics[COPIED])
    return {name for name, found in shares.items() if fmean(found) > fmean(bounds)} if bounds and shares else None


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
