"""A leaderboard's folder: its pages are kept true to its records, and chosen records of a store are published to it.

The store keeps every run's pictures in full size; published is one small picture a method and data set.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from latent_ot.errors import InputError, choose
from latent_ot.files import write_atomic
from latent_ot.pictures.small import KINDS, small_picture
from latent_ot.record import DATA, Record
from latent_ot.report.page import generate
from latent_ot.results import add, load

LINK = re.compile(r"\]\(([^)\s]+)\)")
GENERATED = ("*.md", "*.csv", "figures/**/*.svg")
"""What ``write`` may remove when no record calls for it any more; any other file is left alone."""


def write(root: Path, records: Sequence[Record]) -> list[Path]:
    """Bring the generated files at ``root`` up to date, remove those that no record calls for, return the rest."""
    pages = generate(root, records)
    for name, data in pages.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data)
    for name in _left_over(root, pages):
        (root / name).unlink()
    return [root / name for name in pages]


def stale(root: Path, records: Sequence[Record]) -> list[str]:
    """Return the generated files that are missing, differ from what the records say, or should not be there.

    After them stand files that no page links, such as a picture whose record is gone; ``write`` leaves them alone.
    """
    pages = generate(root, records)
    old = [name for name, data in pages.items() if not (root / name).exists() or (root / name).read_bytes() != data]
    left = _left_over(root, pages)
    return [*sorted([*old, *left]), *(f"{name} (no page links it)" for name in _unlinked(root, pages, left))]


def _unlinked(root: Path, pages: Mapping[str, bytes], left: Sequence[str]) -> list[str]:
    """Return the files of a leaderboard that are neither pages nor linked by one; a dot file is nobody's."""
    texts = [data.decode() for name, data in pages.items() if name.endswith(".md")]
    linked = {unquote(target) for text in texts for target in LINK.findall(text)}
    there = {path for pattern in ("*", "results/**/*", "figures/**/*") for path in root.glob(pattern) if path.is_file()}
    names = {path.relative_to(root).as_posix() for path in there if not path.name.startswith(".")}
    return sorted(names - linked - pages.keys() - set(left))


def _left_over(root: Path, pages: dict[str, bytes]) -> list[str]:
    found = {path.relative_to(root).as_posix() for pattern in GENERATED for path in root.glob(pattern)}
    return sorted(found - pages.keys())


def choose_records(
    records: Sequence[Record], dataset: str, budget: str, methods: Sequence[str], seeds: Sequence[int]
) -> list[Record]:
    """Return the records that agree with everything that is given; what is empty asks for nothing.

    The yardstick of a data set comes along with any method, since tables begin with it.

    Raises:
        InputError: for a name that none of the records has, with the nearest.
    """
    asked = {"dataset": [dataset] if dataset else [], "budget": [budget] if budget else [], "method": [*methods]}
    for key, names in asked.items():
        for name in names if records else ():
            choose(key, name, {getattr(record, key) for record in records})
    if methods:
        asked["method"].append(DATA)
    allowed: dict[str, Sequence[Any]] = {**asked, "seed": seeds}
    return [r for r in records if all(not values or getattr(r, key) in values for key, values in allowed.items())]


def publish(
    chosen: Sequence[Record],
    store: Path,
    boards: Path,
    mark: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records,
) -> list[Path]:
    """Copy records of ``store/results`` to ``boards/results``, in place of older ones, and bring its pages up to date.

    Of each method and data set the lowest seed that is published has a picture, if the store has one of it.

    Args:
        chosen: the records, outdated ones marked.
        store: the folder that they were loaded from.
        boards: the folder of the leaderboards.
        mark: marks those that are outdated of all that is published then.

    Returns:
        The files of the records and the pictures.

    Raises:
        InputError: before anything is written, if there is nothing to publish, or a record may not be: a smoke test's,
            an outdated one, or that of a run that failed.
    """
    _check(chosen)
    published = {record.stem: record for record in (*load(boards), *chosen)}
    drawn, dropped = _pictures(chosen, list(published.values()), store / "results", boards / "results")
    paths = add(boards, chosen)
    for path, data in drawn.items():
        write_atomic(path, data)
    for path in dropped:
        path.unlink()
    write(boards, mark(load(boards)))
    return [*paths, *drawn]


def _check(chosen: Sequence[Record]) -> None:
    if not chosen:
        raise InputError("publish: 0 records are chosen; allowed: one or more of the store's")
    for record in chosen:
        what = f"publish: {record.stem}"
        if record.budget == "smoke":
            raise InputError(f"{what} has the budget smoke, whose numbers mean nothing; allowed: any other budget")
        if record.outdated:
            again = f"`{record.command}`" if record.command else "with the command that made it"
            raise InputError(f"{what} is outdated ({record.outdated[0]}); run it again: {again}")
        if record.status == "failed":
            why = (record.reason or "").splitlines()[0]
            raise InputError(f"{what} failed ({why}); allowed: a run that is done, diverged or declined")


def _pictures(
    chosen: Sequence[Record], published: Sequence[Record], store: Path, boards: Path
) -> tuple[dict[Path, bytes], list[Path]]:
    """Return the small pictures to write, and those that lie there and are not of the lowest seed any more."""
    new = {record.stem for record in chosen}
    drawn: dict[Path, bytes] = {}
    dropped: list[Path] = []
    for dataset, method in sorted({(record.dataset, record.method) for record in chosen}):
        runs = [r for r in published if (r.dataset, r.method) == (dataset, method)]
        found = False
        for run in sorted(runs, key=lambda r: (r.seed, -r.images_budget, r.stem)):
            path = boards / f"{run.stem}.png"
            sources = {kind: store / f"{run.stem}.{kind}.png" for kind in KINDS} if run.stem in new else {}
            source = next(((file, kind) for kind, file in sources.items() if file.exists()), None)
            if not found and run.status == "done" and source:
                drawn[path] = small_picture(*source)
            elif path.exists() and (found or run.stem in new):
                dropped.append(path)
            found = found or path in drawn or (path.exists() and path not in dropped)
    return drawn, dropped
