"""Everything under ``leaderboards/`` but ``results/``: made from the records there, the same bytes every time.

A store has such pages, too, of all that was run; they show every picture in full size where those of the leaderboards
show one small one a method.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from latent_ot.claims import claims
from latent_ot.curve_table import SUFFIX
from latent_ot.published import load_table, table_names
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, TRAINING, Record
from latent_ot.report.beside import drawn_for
from latent_ot.report.claims import claims_grid
from latent_ot.report.copies import copies_table
from latent_ot.report.curves import figure_path, prd_figure, training_figure
from latent_ot.report.findings import findings
from latent_ot.report.front import front, fullest
from latent_ot.report.grid import grid_tables, heat_map
from latent_ot.report.groups import Groups, by_method, by_protocol
from latent_ot.report.ranking import COST, KNOWN, SIZE, further, measured, ranked, standing_of
from latent_ot.report.tables import grids, shown_for
from latent_ot.report.text import Cell, Column, Grid, to_csv, to_markdown
from latent_ot.report.verdicts import judge
from latent_ot.report.works import tally, works_grids
from latent_ot.results import repeating

PICTURES = ("samples", "copies", "reconstructions", "interpolations", "points", "latent", "codes")
"""The kinds that lie in a store, ``STEM.KIND.png``."""
PUBLISHED = {"samples": "", "copies": ".copies"}
"""The kinds that lie beside published records, small -> how the names of their files end, before ``.png``."""


@dataclass(frozen=True)
class Section:
    """One (data set, protocol, budget) on a page: tables as Markdown, figures and pictures as paths from the page."""

    ranking: str
    copies: str
    further: str
    grid: list[str]
    figures: list[tuple[str, str]]
    pictures: list[tuple[str, dict[str, str]]]
    runs: list[tuple[Record, dict[str, str]]]


@dataclass(frozen=True)
class Board:
    """A data set on the front page: its table as Markdown, and its figures by name."""

    dataset: str
    table: str
    figures: list[tuple[str, str]]


def generate(root: Path, records: Sequence[Record]) -> dict[str, bytes]:
    """Return every generated file of the leaderboard at ``root``: path from there -> bytes.

    Args:
        root: of it; pictures and curves that lie in its ``results`` are linked.
        records: those of its ``results``, outdated ones marked, those of a store as ``stored``.
    """
    judged = [judge(claim, records) for claim in claims()]
    pages: dict[str, bytes] = {}
    boards = []
    for dataset in sorted({r.dataset for r in records}):
        here = [r for r in records if r.dataset == dataset]
        pages |= _dataset(root, dataset, here)
        boards.append(_board(root, dataset, here, pages))
    verdicts, stored = claims_grid(judged), any(r.stored for r in records)
    works = works_grids(by_protocol(records), lambda run: pictures_of(root, run))
    if works:
        pages["works.md"] = _render("works.md.j2", tables=[to_markdown(table) for table in works])
    told = {"claims": verdicts.header[0], "works": "; ".join(map(tally, works)), "stored": stored}
    told["topics"] = findings(records)
    pages["README.md"] = _render("readme.md.j2", boards=boards, **told)
    table, any_record = to_markdown(verdicts).split("\n", 1)[1], any(j.rests_on() for j in judged)
    pages["claims.md"] = _render("claims.md.j2", table=table, judged=judged, any_record=any_record)
    return dict(sorted(pages.items()))


def _board(root: Path, dataset: str, records: Sequence[Record], pages: Mapping[str, bytes]) -> Board:
    """Return a data set's part of the front page."""
    groups = by_protocol(records)
    links: dict[str, str] = {}
    for group in (fullest(groups), *groups.values()):  # of several budgets the one that ranks
        for method, kinds in _pictures(root, group):
            shown = [kinds[kind] for kind in ("samples", "points") if kind in kinds]
            links |= {method: shown[0]} if shown and method not in links else {}
    table = to_markdown(front(groups, links), level=3).split("\n", 1)[1]
    drawn = [path for path in pages if path.startswith(f"figures/{dataset}/")]
    figures = []
    for path in drawn:
        *where, _, what = Path(path).stem.split("--")  # budget, threads and devices unless one, protocol, what
        figures.append((", ".join([what, *where]), quote(path)))
    return Board(dataset, table, figures)


def _dataset(root: Path, dataset: str, records: Sequence[Record]) -> dict[str, bytes]:
    """Return the page, the figures and the CSV of one data set."""
    files: dict[str, bytes] = {}
    sections, published = [], []
    groups = by_protocol(records)
    for key, group in groups.items():
        makers = {"training": training_figure, "prd": prd_figure, "grid": heat_map}
        drawn = {name: svg for name, make in makers.items() if (svg := make(group))}
        files |= {figure_path(key, name): svg for name, svg in drawn.items()}
        figures = [(name, quote(figure_path(key, name))) for name in drawn]
        beside = copies_table(group)
        copies = to_markdown(beside, level=3) if beside else ""
        tables = to_markdown(ranked(group)), copies, to_markdown(further(group), level=3)
        grid = [to_markdown(table, level=3) for table in grid_tables(group)]
        runs = [(run, pictures_of(root, run) if run.stored else {}) for run in group]
        sections.append(Section(*tables, grid, figures, _pictures(root, group), runs))
    for spec, budget in itertools.product(map(load_table, table_names()), dict.fromkeys(key.budget for key in groups)):
        curves = {p.figure: p for p in drawn_for(spec, dataset, budget, records)}
        if curves or spec.id in shown_for(dataset):
            files |= {path: p.draw() for path, p in curves.items()}
            shown = [to_markdown(grid, 3) for grid in grids(spec, dataset, budget, records)]
            published.append((shown, [(p.title, quote(path)) for path, p in curves.items()]))
    rows = f"results/{dataset}{SUFFIX}"
    curves_table = quote(rows) if (root / rows).exists() else None
    page = _render("dataset.md.j2", dataset=dataset, sections=sections, published=published, curves=curves_table)
    return files | {f"{dataset}.md": page, f"{dataset}.csv": to_csv(_everything(groups)).encode()}


def _pictures(root: Path, group: Sequence[Record]) -> list[tuple[str, dict[str, str]]]:
    """Return, for each method, the pictures that lie beside its first finished run that has any: kind -> link."""
    shown = []
    for method, runs in sorted(by_method(group, "done").items()):
        found = (pictures_of(root, run) for run in sorted(runs, key=lambda r: r.seed))
        shown += [(method, there) for there in itertools.islice(filter(None, found), 1)]
    return shown


def pictures_of(root: Path, run: Record) -> dict[str, str]:
    """Return the pictures of a run: kind -> link. A published run has at most two, small ones."""
    names = {kind: f"{run.stem}.{kind}.png" for kind in PICTURES}
    names = names if run.stored else {kind: f"{run.stem}{ending}.png" for kind, ending in PUBLISHED.items()}
    return {kind: f"results/{quote(name)}" for kind, name in names.items() if (root / "results" / name).exists()}


def _everything(groups: Groups) -> Grid:
    """Return all metrics of all methods. A metric has one column per protocol, so that no column mixes two.

    The row of a method that some of its seeds lost is ``done`` with the reasons why those are missing.
    """
    metrics = [key for key in QUANTITIES if any(key in r.metrics for group in groups.values() for r in group)]
    places = list(itertools.product(dict.fromkeys(key.protocol for key in groups), metrics))
    names: tuple[str, ...] = ("protocol", "budget", "threads", "method", "status", "reason", "images_budget", "width")
    names += ("devices",) if any(key.devices != 1 for key in groups) else ()
    columns = (*(Column(n, n) for n in (*names, *COST, *SIZE)), *(Column(f"{k}@{p}", k) for p, k in places))
    rows = []
    for key, group in groups.items():
        every = by_method(group)
        compared = {method: runs for method, runs in every.items() if method != DATA}
        stand = {metric: standing_of(metric, compared, every.get(DATA, [])) for metric in metrics}
        known = [found for run in every.get(DATA, []) if (found := run.yardstick(TRAINING))]
        every |= {KNOWN: [run.model_copy(update={"method": KNOWN}) for run in known]} if known else {}
        copies = repeating(group)
        for method, runs in sorted(every.items()):
            done = [r for r in runs if r.status == "done"]
            told = (done or runs)[0].model_dump(include={*names}) | {"protocol": key.protocol}
            if done and len(done) < len(runs):
                told["reason"] = "; ".join(f"seed {r.seed} {r.status}: {r.reason}" for r in runs if r.status != "done")
            cells = [Cell("", {"": told[name]}, rests=tuple(done or runs)) for name in names]
            if copies is not None and method in compared and done:
                cells[names.index("method")] = Cell("", {"": method, "repeats": method in copies}, rests=tuple(done))
            cells += [measured(runs, cost) for cost in (*COST, *SIZE)]
            cells += [
                measured(runs, metric, row=method, among=stand[metric]) if at == key.protocol else Cell("")
                for at, metric in places
            ]
            rows.append(tuple(cells))
    return Grid("", columns, tuple(rows))


def _render(template: str, **values: Any) -> bytes:
    pages = Environment(
        loader=PackageLoader("latent_ot.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return (pages.get_template(template).render(quote=quote, **values).rstrip() + "\n").encode()
