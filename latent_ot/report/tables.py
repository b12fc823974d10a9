"""A published table beside ours: the same rows and columns, each cell ``published | ours ± interval``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_ot.bench.budgets import settings
from latent_ot.errors import InputError, choose, nearest
from latent_ot.report.published import (
    Published,
    PublishedColumn,
    PublishedTable,
    load_table,
    stand_ins,
    stands_for,
    suite_methods,
    table_names,
)
from latent_ot.report.quantities import NONE, QUANTITIES
from latent_ot.report.ranking import TIES, YARDSTICK, bench_table, by_method, conditions, measured, protocol_line, seeds
from latent_ot.report.records import DATA, Record, by_protocol, dump, load, parse, select
from latent_ot.report.statistics import best
from latent_ot.report.text import Cell, Column, Grid, render, show


def table(
    id: str,
    dataset: str | None = None,
    budget: str | None = None,
    records: Sequence[Record] = (),
    format: str = "text",
) -> str:
    """Return a published table beside ours as ``text``, ``md``, ``csv``, ``json`` or ``latex``.

    Args:
        id: of a file in benchmarks/tables, e.g. ``gldo-table1``.
        dataset: ours; only the columns that it stands for are shown. None: all columns, each beside its own data set.
        budget: of our runs; None: the suite's default where the data set was run at it, else the largest.
        records: all result records.
        format: the form.

    Raises:
        InputError: for an unknown table, format or budget, or a data set that stands for none of the columns.
    """
    return render([beside(load_table(id), dataset, budget, records)], format)


def render_published(id: str, dataset: str | None, budget: str | None, root: Path, form: str) -> str:
    """Return ``table`` over the records under ``root/results``, without a newline at its end.

    Without a data set it is the suite's default one, if that stands for a column of the table.
    """
    usual = settings()["defaults"]["dataset"]
    if dataset is None and any(column.dataset == stands_for(usual) for column in load_table(id).columns):
        dataset = usual
    return table(id, dataset, budget, load(root), form).rstrip("\n")


def print_bench(records: Sequence[Record | Mapping[str, Any]]) -> None:
    """Print the ranked table of ``records``: drawn on a terminal, plain text anywhere else."""
    show(bench_table([r if isinstance(r, Record) else parse(dump(r).decode(), "record") for r in records]))


def shown_for(dataset: str) -> list[str]:
    """Return the tables that have a column for which ``dataset`` stands."""
    return [t for t in table_names() if any(c.dataset == stands_for(dataset) for c in load_table(t).columns)]


@dataclass(frozen=True)
class Beside:
    """A published column with our runs beside it: one data set, budget and protocol; ``runs`` may be empty.

    ``tag`` names the protocol, `` [a]``, in a table that holds numbers of more than one, and is empty otherwise.
    """

    column: PublishedColumn
    dataset: str
    runs: list[Record]
    tag: str = ""

    @property
    def key(self) -> str:
        """The column's name for programs; it names the protocol where the table holds several."""
        return self.column.key + (f"@{protocol_id(self.runs)}" if self.tag else "")

    def done(self, method: str) -> list[Record]:
        """Return our finished runs of a method."""
        return by_method(self.runs, "done").get(method, [])


def beside(spec: PublishedTable, dataset: str | None, budget: str | None, records: Sequence[Record]) -> Grid:
    """Return the table as a grid; see ``table``. A column is repeated for each protocol that we have numbers under."""
    if budget:
        choose("budget", budget, {*settings()["budgets"], *(r.budget for r in records)})
    places = _places(spec, dataset, budget, records)
    columns = [Column("method", "method", right=False), *(Column(p.key, p.column.head + p.tag) for p in places)]
    winners = {p.key: _winners(spec, p) for p in places}
    yardstick = [measured(p.done(DATA), p.column.metric, before=f"{NONE} | ") for p in places]
    shown = any(cell.text != NONE for cell in yardstick) and all(row.method != DATA for row in spec.rows)
    rows: list[tuple[Cell, ...]] = [(Cell(YARDSTICK, {"": DATA}), *yardstick)] if shown else []
    for row in spec.rows:
        same = row.method == row.label.lower().replace("-", "_")
        label = Cell(row.label if same else f"{row.label} ({row.method})", {"": row.method})
        cells = (_cell(p, row.values.get(p.column.key), row.method, row.method in winners[p.key]) for p in places)
        rows.append((label, *cells))
    header = (f"Published: {spec.title}, {spec.place}. {spec.protocol}", *_ours(places, budget))
    notes = (*_missing(spec, places, budget), *(f"{row.label}: {row.note}" for row in spec.rows if row.note))
    notes += tuple(f"published: {note}" for note in spec.notes)
    title = f"{spec.id}: {spec.caption} (published | ours)"
    return Grid(title, tuple(columns), tuple(rows), header, notes, f"ours: {TIES}")


def protocol_id(runs: Sequence[Record]) -> str:
    """Return the protocol of runs that share one, or an empty string."""
    return next((r.protocol.id for r in runs if r.protocol), "")


def _places(spec: PublishedTable, dataset: str | None, budget: str | None, records: Sequence[Record]) -> list[Beside]:
    columns = [c for c in spec.columns if dataset is None or c.dataset == stands_for(dataset)]
    if not columns:
        allowed = list(dict.fromkeys(ours for c in spec.columns for ours in stand_ins()[c.dataset]))
        near = nearest(dataset, allowed)
        raise InputError(f"dataset '{dataset}' stands for no column of {spec.id}; allowed: {', '.join(allowed)}{near}")
    places = []
    for column in columns:
        ours = dataset or column.dataset
        groups = by_protocol(select(records, dataset=ours))
        run_at = [b for _, _, b in groups]  # largest first
        usual = settings()["defaults"]["budget"]
        chosen = budget or (usual if usual in run_at else next(iter(run_at), None))
        found = [group for (_, _, b), group in groups.items() if b == chosen] or [[]]
        places += [Beside(column, ours, group) for group in found]
    ids = list(dict.fromkeys(protocol_id(p.runs) for p in places if p.runs))
    tags = {name: f" [{chr(ord('a') + i)}]" for i, name in enumerate(ids)} if len(ids) > 1 else {}
    return [Beside(p.column, p.dataset, p.runs, tags.get(protocol_id(p.runs), "") if p.runs else "") for p in places]


def _cell(place: Beside, printed: Published | None, method: str, mark: bool) -> Cell:
    ours = measured(place.done(method), place.column.metric, mark=mark)
    before = NONE if printed is None else f"{printed.value:.{place.column.digits}f}"
    if printed and printed.std is not None:
        before += f" ± {printed.std:.{place.column.digits}f}"
    data = {"published": printed and printed.value, "published_spread": printed and printed.std, **ours.data}
    return Cell(ours.text, data, mark, f"{before} | ")


def _winners(spec: PublishedTable, place: Beside) -> set[str]:
    metric = place.column.metric
    values = {row.method: seeds(place.done(row.method), metric) for row in spec.rows if row.method != DATA}
    return best(values, place.column.direction, QUANTITIES[metric].text)


def _ours(places: Sequence[Beside], budget: str | None) -> list[str]:
    """Return one line for each data set and protocol: what stands for what, and under which conditions."""
    lines: dict[str, None] = {}
    empty: dict[str, None] = {}
    for place in places:
        same = place.dataset == place.column.dataset
        what = place.dataset if same else f"{place.dataset} stands for {place.column.dataset}"
        if place.runs:
            runs = [r for r in place.runs if r.method != DATA] or place.runs
            lines[f"Ours{place.tag}: {what}; budget {runs[0].budget}, {conditions(runs)}"] = None
            lines[protocol_line(place.runs)] = None
        else:
            empty[what] = None
    nothing = f"Nothing was run{f' at budget {budget}' if budget else ''} on: {', '.join(empty)}"
    return [*lines, *([nothing] if empty else [])]


def _missing(spec: PublishedTable, places: Sequence[Beside], budget: str | None) -> list[str]:
    """Return why cells are empty, and how to fill those that were not run."""
    why: dict[str, dict[str, None]] = {}
    to_run: dict[tuple[str, str], dict[str, None]] = {}
    for row, place in ((row, place) for row in spec.rows for place in places):
        runs, key = by_method(place.runs).get(row.method, []), place.column.metric
        if seeds(runs, key):
            continue
        at = place.runs[0].budget if place.runs else budget
        where = place.dataset + (f" at budget {at}" if at else "")
        if row.method not in {*suite_methods(), DATA}:
            reason = "not in the suite yet"
        elif not runs:
            if row.method != DATA:  # the yardstick comes with any method
                to_run.setdefault((place.dataset, f" BUDGET={at}" if at else ""), {})[row.method] = None
            continue
        elif runs[0].status != "done":
            reason = f"{runs[0].status} on {where}: {runs[0].reason}"
        else:
            reason = f"no {QUANTITIES[key].label} on {where}: {runs[0].reasons.get(key, 'not measured in this run')}"
        why.setdefault(reason, {})[row.method] = None
    lines = [f"{NONE} for {', '.join(methods)}: {reason}" for reason, methods in why.items()]
    for (dataset, at), methods in to_run.items():
        lines.append(f'{NONE} not run: make bench DATASET={dataset} METHODS="{" ".join(methods)}"{at}')
    return lines
