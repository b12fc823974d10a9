"""A leaderboard's folder: its pages are kept true to its records, and chosen records of a store are published to it.

The store keeps every run's pictures in full size; published are, small, one of a method's samples on a data set and one
of those that lie nearest to training images.
"""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from latent_ot.errors import InputError, choose
from latent_ot.files import shown, writable, write_atomic
from latent_ot.pictures.small import small_picture
from latent_ot.record import DATA, Record
from latent_ot.report.page import generate
from latent_ot.results import add, load, look

SHOWN = {"": ("samples", "points"), ".copies": ("copies",)}
"""How the name of a published picture ends before ``.png`` -> the kinds that it may be of."""
LINK = re.compile(r"\]\(([^)\s]+)\)")
GENERATED = {
    "*.md": (b"# Leaderboards\n\nEvery sentence", b"# Leaderboards\n\nEvery table", b"# Runs of this store\n\nAll that",
             b"# Claims of the papers\n", b"# Does every method work?\n"),
    "*.csv": (b"protocol,budget,threads,method,",),
    "figures/*/*.svg": (b'<?xml version="1.0" encoding="utf-8" standalone="no"?>\n<!DOCTYPE svg',),
}  # fmt: skip
"""Which files are the suite's, and how they begin: what ``write`` may replace, and remove when no record calls for it.

Any other file is its user's.
"""


def write(root: Path, records: Sequence[Record]) -> list[Path]:
    """Bring the generated files at ``root`` up to date, remove those that no record calls for, return the rest.

    Raises:
        InputError: before anything is written, if a file of one's own has the name of a page.
        StoreError: if the folder cannot be written.
    """
    check(root)
    pages = generate(root, records)
    _refuse_foreign(root, pages)
    for name, data in pages.items():
        path = root / name
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data)
    for name in _left_over(root, pages):
        (root / name).unlink()
        print(f"removed {shown(root / name)}, which no record calls for", file=sys.stderr)
    return [root / name for name in pages]


def check(root: Path, what: str = "leaderboards") -> None:
    """See, before the work that ends in it, that pages can be written to a folder without harm to anyone's own files.

    Raises:
        InputError: if there is one of the name that a page has.
        StoreError: if the folder takes no files.
    """
    writable(root, what)
    _refuse_foreign(root, ("README.md", "claims.md", "works.md"))


def _refuse_foreign(root: Path, names: Iterable[str]) -> None:
    """Refuse to replace what is not the suite's, unless what is beside it is: then it was a page, edited by hand."""
    if (root / "stages").is_dir():  # a store
        return
    foreign = [path for path in (root / name for name in names) if path.exists() and not _is_ours(path)]
    pages = (path for path in root.glob("*.md") if path.is_file() and path.stat().st_size)
    for path in foreign if not any(map(_is_ours, pages)) else ():
        where = "allowed: another folder, or move the file"
        raise InputError(f"'{shown(path)}' is no page of the suite's, and would be lost; {where}")


def _is_ours(path: Path) -> bool:
    """Whether the suite wrote a file, which may have been cut short since, to nothing at most."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(120)
    begins = next((found for pattern, found in GENERATED.items() if path.match(pattern)), ())
    if path.suffix == ".md":
        begins = (*begins, f"# {path.stem}\n\nGenerated from [results/]".encode())
    return any(head.startswith(begin) or begin.startswith(head) for begin in begins)


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
    found = {path for pattern in GENERATED for path in root.glob(pattern) if _is_ours(path)}
    return sorted({path.relative_to(root).as_posix() for path in found} - pages.keys())


def choose_records(
    records: Sequence[Record], dataset: str, budget: str, methods: Sequence[str], seeds: Sequence[int]
) -> list[Record]:
    """Return the records that agree with everything that is given; what is empty asks for nothing.

    The yardstick of a data set comes along with any method, since tables begin with it; images that were made elsewhere
    are chosen by name alone.

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
    found = [r for r in records if all(not values or getattr(r, key) in values for key, values in allowed.items())]
    return [r for r in found if not r.external or r.method in methods]


def refuse_damaged(store: Path, dataset: str, budget: str, methods: Sequence[str], seeds: Sequence[int]) -> None:
    """See that no record of a store is damaged that would be chosen (see ``choose_records``), by its file's name.

    Raises:
        InputError: naming the first that is.
    """
    for stem, why in look(store).damaged.items():
        of, method, at, seed = [*stem.split("--"), *[""] * 4][:4]
        asked = ((of, [dataset]), (at, [budget]), (method, methods), (seed, [f"s{n}" for n in seeds]))
        if all(name in allowed for name, allowed in asked if any(allowed)):
            raise InputError(f"publish: {why}; run its command again, or publish others by --methods and the like")


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
    check(boards)
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
    rows = sorted({(record.dataset, record.method) for record in chosen})
    for (dataset, method), (ending, kinds) in itertools.product(rows, SHOWN.items()):
        runs = [r for r in published if (r.dataset, r.method) == (dataset, method)]
        found = False
        for run in sorted(runs, key=lambda r: (r.seed, -r.images_budget, r.stem)):
            path = boards / f"{run.stem}{ending}.png"
            sources = {kind: store / f"{run.stem}.{kind}.png" for kind in kinds} if run.stem in new else {}
            source = next(((file, kind) for kind, file in sources.items() if file.exists()), None)
            if not found and run.status == "done" and source:
                drawn[path] = small_picture(*source)
            elif path.exists() and (found or run.stem in new):
                dropped.append(path)
            found = found or path in drawn or (path.exists() and path not in dropped)
    return drawn, dropped
