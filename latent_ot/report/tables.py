"""A published table beside ours: the same rows and columns, each cell ``published | ours ± interval``.

Columns that follow a curve, as figures do, are a table of their own: every row's curve at shares of the budget.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from latent_ot.budgets import settings
from latent_ot.errors import choose
from latent_ot.published import (
    PublishedRow,
    PublishedTable,
    in_words,
    load_table,
    stands_for,
    table_names,
)
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.beside import Beside, places
from latent_ot.report.curves import NAMES, SHARES, ordering
from latent_ot.report.groups import gathered, not_published, trained
from latent_ot.report.ranking import (
    TIES,
    UPDATES,
    YARDSTICK,
    bench_table,
    conditions,
    measured,
    protocol_line,
)
from latent_ot.report.text import Cell, Column, Grid, render, show, to_markdown

METHOD = Column("method", "method", right=False)


def render_published(
    id: str | None,
    dataset: str | None,
    budget: str | None,
    records: Sequence[Record],
    form: str = "text",
    ran: Mapping[str, str] | None = None,
) -> str:
    """Return published tables beside ours, without a newline at the end.

    Args:
        id: of a file in benchmarks/tables, e.g. ``gldo-table1``. None: all, or all that have a column for the data set.
        dataset: ours; only the columns that it stands for are shown. None: all columns, each beside its own data set,
            or where nothing was run on that, beside one that stands for it.
        budget: of our runs; None: the suite's default where the data set was run at it, else the largest.
        records: all result records.
        form: ``text``, ``md``, ``csv``, ``json`` or ``latex``.
        ran: published data set -> the one of ours to show in its place.

    Raises:
        InputError: for an unknown table, form or budget, or a data set that stands for none of the columns.
    """
    return render([g for shown in chosen(id, dataset, budget, records, ran).values() for g in shown], form).rstrip("\n")


def chosen(
    id: str | None,
    dataset: str | None,
    budget: str | None,
    records: Sequence[Record],
    ran: Mapping[str, str] | None = None,
) -> dict[str, list[Grid]]:
    """Return published tables beside ours, by id; see ``render_published``."""
    ids = [id] if id else table_names() if dataset is None else shown_for(dataset)
    return {table: grids(load_table(table), dataset, budget, records, ran) for table in ids}


def beside(dataset: str, budget: str, records: Sequence[Record]) -> dict[str, list[Grid]]:
    """Return those published tables, by id, that have a number of ours on a data set at a budget."""
    found = chosen(None, dataset, budget, records)
    return {table: kept for table, every in found.items() if (kept := [grid for grid in every if grid.rests])}


def handed(tables: Mapping[str, Sequence[Grid]]) -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """Yield tables as others take them up: the name, the rows as programs read them, and all of it in Markdown.

    Of several of one name the second is called NAME-2. Values are numbers, words, switches or None.
    """
    for name, every in tables.items():
        for number, grid in enumerate(every, 1):
            rows = [{key: _plain(value) for key, value in row.items()} for row in grid.flat().to_dict("records")]
            if rows:
                yield name + (f"-{number}" if number > 1 else ""), rows, to_markdown(grid)


def _plain(value: Any) -> int | float | str | bool | None:
    return value if value is None or isinstance(value, int | float | str | bool) else json.dumps(value)


def print_bench(records: Sequence[Record]) -> None:
    """Print the ranked table of ``records``: drawn on a terminal, plain text anywhere else."""
    show(bench_table(records))


def shown_for(dataset: str) -> list[str]:
    """Return the tables that have a column for which ``dataset`` stands."""
    return [t for t in table_names() if any(c.dataset == stands_for(dataset) for c in load_table(t).columns)]


def grids(
    spec: PublishedTable,
    dataset: str | None,
    budget: str | None,
    records: Sequence[Record],
    ran: Mapping[str, str] | None = None,
) -> list[Grid]:
    """Return a table as grids; see ``render_published``. A column is repeated for each protocol of our runs."""
    if budget:
        choose("budget", budget, {*settings()["budgets"], *(r.budget for r in records)})
    found = places(spec, dataset, budget, records, ran)
    plain = [p for p in found if not p.column.curve]
    curves: dict[tuple[str, str], list[Beside]] = {}
    for p in (p for p in found if p.column.curve):
        curves.setdefault((p.dataset, p.under), []).append(p)
    shown = [_table(plain, budget)] if plain else []
    shown += [_curves(group, budget) for group in curves.values()]
    shown += [_constants(spec, records)] if spec.values else []
    source = f"Published: {spec.title}, {spec.place}. {spec.protocol}"
    shown[0] = replace(shown[0], header=(source, *shown[0].header))
    notes = [f"{row.label}: {row.note}" for row in spec.rows if row.note]
    notes += [f"published: {note}" for note in (*_said_otherwise(spec, found), *spec.notes)]
    shown[-1] = replace(shown[-1], notes=(*shown[-1].notes, *notes))
    return [replace(grid, notes=(*not_published(grid.rests, records), *grid.notes)) for grid in shown]


def _table(found: Sequence[Beside], budget: str | None) -> Grid:
    """Return columns of numbers, ``published | ours``, with the yardstick above them."""
    spec = found[0].spec
    made = _updates(found)
    columns = (METHOD, *(Column(p.key, p.column.head + p.tag) for p in found), *made)
    data = [[r for r in p.runs if r.method == DATA] for p in found]
    yardstick = [
        replace(measured(runs, p.column.metric), before=f"{NONE} | ") for p, runs in zip(found, data, strict=True)
    ]
    shown = any(cell.text != NONE for cell in yardstick) and all(row.method != DATA for row in spec.rows)
    rows = [(Cell(YARDSTICK, {"": DATA}), *yardstick, *(measured([], UPDATES) for _ in made))] if shown else []
    ours = [[_with_published(p, *pair) for pair in zip(spec.rows, p.cells(), strict=True)] for p in found]
    rows += zip(map(_label, spec.rows), *ours, *made.values(), strict=True)
    title, notes = f"{spec.id}: {spec.caption} (published | ours)", (*_missing(found, budget), *_asked(found))
    return Grid(title, columns, tuple(rows), tuple(_ours(found, budget)), notes, f"ours: {TIES}", spec.id)


def _updates(found: Sequence[Beside]) -> dict[Column, list[Cell]]:
    """Return the updates of each row's generator, one column for all columns that show the same runs."""
    spec = found[0].spec
    distinct: dict[tuple[tuple[str, ...], ...], tuple[Beside, list[list[Record]]]] = {}
    for place in found:
        runs = [[r for r in place.of(row) if r.method != DATA] for row in spec.rows]
        if any(runs):
            distinct.setdefault(tuple(tuple(r.stem for r in of) for of in runs), (place, runs))
    columns = {}
    for place, runs in distinct.values():
        where = (f"@{place.key}", f", {place.column.label}{place.tag}") if len(distinct) > 1 else ("", "")
        column = Column(UPDATES + where[0], QUANTITIES[UPDATES].label + where[1])
        columns[column] = [measured(of, UPDATES) for of in runs]
    return columns


def _curves(found: Sequence[Beside], budget: str | None) -> Grid:
    """Return curves over one data set and protocol: every row of each at shares of the budget.

    The notes have each curve's order at the end, and where it is drawn.
    """
    spec, runs = found[0].spec, [r for place in found for r in place.runs if r.method != DATA]
    rows: list[tuple[Cell, ...]] = []
    notes = [*_missing(found, budget), *_asked(found)]
    for place in found:
        quantity, cells = QUANTITIES[place.column.metric], [place.cells(share) for share in SHARES]
        names = [Cell("" if i else quantity.head, {"": place.column.key}) for i in range(len(spec.rows))]  # shown once
        made = [measured([r for r in place.of(row) if r.method != DATA], UPDATES) for row in spec.rows]
        rows += zip(names, map(_label, spec.rows), *cells, made, strict=True)
        ends = zip(spec.rows, cells[-1], strict=True)
        ended = {row.label + cell.signs: values for row, cell in ends if (values := place.values(row))}
        if len(ended) > 1:
            notes.append(f"ours at the end, {quantity.label}: {ordering(ended, quantity)}")
        if place.figure:
            notes.append(f"drawn by `latent-ot leaderboard`, in its folder: {place.figure}")
    images = [f"{share * runs[0].images_budget:,.0f}" for share in SHARES[:-1]] if runs else []
    seen = f" ({', '.join(images[:-1])} and {images[-1]} training images seen)" if runs else ""
    header = (
        *_ours(found, budget),
        f"After 1/8, 1/4 and 1/2 of the budget{seen} and at the end; each the mean of a tenth of the budget around the "
        "place, at the end of the last twentieth.",
    )
    labels = ", ".join(dict.fromkeys(place.column.label for place in found))
    title = f"{spec.id}: {spec.caption}; {labels}{found[0].tag} (ours)"
    updates = Column(UPDATES, QUANTITIES[UPDATES].label)
    columns = (Column("curve", "", right=False), METHOD, *map(Column, NAMES, NAMES), updates)
    return Grid(title, columns, tuple(rows), header, tuple(notes), f"ours: {TIES}", spec.id)


def _constants(spec: PublishedTable, records: Sequence[Record]) -> Grid:
    """Return the constants of a paper's text, and what our records were trained with where the suite has them."""
    heads = {"constant": "constant", "dataset": "data set", "value": "published", "setting": "setting of the suite"}
    columns = (*(Column(k, h, right=k == "value") for k, h in heads.items()), Column("ours", "ours, as recorded"))
    rows = []
    for c in spec.values:
        part, _, key = (c.setting or "").partition(".")
        runs = [r for r in records if part in r.config and (c.dataset is None or stands_for(r.dataset) == c.dataset)]
        ours = ", ".join(sorted({"by rule" if (v := r.setting(part, key)) is None else json.dumps(v) for r in runs}))
        name = Cell(c.label, {"": c.name, "dataset": c.dataset})
        value = Cell(f"{c.value:g}", {"published": c.value})
        recorded = replace(Cell.of(ours or NONE), rests=tuple(runs))
        rows.append((name, Cell(c.dataset or "all"), value, Cell.of(c.setting or NONE), recorded))
    return Grid(f"{spec.id}: {spec.caption}", columns, tuple(rows), id=spec.id)


def _label(row: PublishedRow) -> Cell:
    same = row.method in (None, row.label.lower().replace("-", "_"))
    data = {"": row.method, "label": row.label, "settings": in_words(row.settings) or None}
    return Cell(row.label if same else f"{row.label} ({row.method})", data)


def _with_published(place: Beside, row: PublishedRow, ours: Cell) -> Cell:
    """Return a cell of ours with the published number before it."""
    number, said = row.values.get(place.column.key), row.text_values.get(place.column.key)
    data = {"published": number and number.value, "published_spread": number and number.std}
    data |= {"published_text": said.value} if said else {}
    return replace(ours, data={**data, **ours.data}, before=f"{place.column.text(number) if number else NONE} | ")


def _said_otherwise(spec: PublishedTable, found: Sequence[Beside]) -> list[str]:
    """Return where the paper's text gives another number than its table."""
    lines: dict[str, None] = {}
    for row in spec.rows:
        for column in (p.column for p in found if p.column.key in row.text_values):
            text, table = row.text_values[column.key], row.values.get(column.key)
            what = f"for the {QUANTITIES[column.metric].label} of {row.label} on {column.label}"
            numbers = f"{column.text(text)}, the table {column.text(table) if table else NONE}"
            lines[f"{what} the text gives {numbers}"] = None
    return list(lines)


def _asked(found: Sequence[Beside]) -> list[str]:
    """Return what rows are run as, by another method than their own or with settings, and where if not everywhere."""
    rows = [(p.column.label, row, *p.spec.asked(row, p.column)) for p in found for row in p.spec.rows if row.method]
    told = ((label, row, " ".join(_run_as(row, method, asked))) for label, row, method, asked in rows)
    said = gathered(((row.label, words), label) for label, row, words in told if words)
    every = {p.column.label for p in found}
    where = {key: "" if {*labels} == every else " on " + " and ".join(labels) for key, labels in said.items()}
    alike = gathered(((words, where[label, words]), label) for label, words in said)
    return [f"{', '.join(labels)}{at}: ours {words}" for (words, at), labels in alike.items()]


def _run_as(row: PublishedRow, method: str | None, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if method != row.method:
        yield f"is {method}"
    if settings:
        yield f"with {in_words(settings)}"


def _ours(found: Sequence[Beside], budget: str | None) -> list[str]:
    """Return one line for each data set and protocol: what stands for what, and under which conditions."""
    lines: list[str] = []
    empty: list[str] = []
    for place in found:
        published = place.column.dataset
        stands = "stands for" if stands_for(place.dataset) == published else "in the place of"
        what = place.dataset if place.dataset == published else f"{place.dataset} {stands} {published}"
        if place.runs:
            runs = trained(place.runs)
            lines.append(f"Ours{place.tag}: {what}; budget {runs[0].at}, {conditions(runs)}")
            lines.append(protocol_line(place.runs))
        else:
            empty.append(what)
    nothing = f"Nothing was run{f' at budget {budget}' if budget else ''} on: {', '.join(dict.fromkeys(empty))}"
    return [*dict.fromkeys(lines), *([nothing] if empty else [])]


def _missing(found: Sequence[Beside], budget: str | None) -> list[str]:
    """Return why cells are empty, and how to fill those that were not run."""
    why: list[tuple[str, str]] = []  # (reason, row)
    to_run: list[tuple[tuple[str, str], str]] = []  # ((data set, budget), row)
    for place, row in itertools.product(found, found[0].spec.rows):
        runs, group = place.of(row), place.group
        if place.values(row) or (row.method == DATA and not runs):  # the yardstick comes with any method
            continue
        at = group.budget if group else budget
        if row.method is None:
            why.append(("quoted by the paper; nothing of the suite's", row.label))
        elif runs or (group and (group.threads, group.devices) != (1, 1)):
            where = place.dataset + (f" at budget {group.at if group else at}" if at else "")
            why.append((_lost(runs[0], place.column.metric, where) if runs else f"not run on {where}", row.label))
        else:
            to_run.append(((place.dataset, f" BUDGET={at}" if at else ""), row.label))
    lines = [f"{NONE} for {', '.join(labels)}: {reason}" for reason, labels in gathered(why).items()]
    alike = gathered(((", ".join(rows), at), dataset) for (dataset, at), rows in gathered(to_run).items())
    for (names, at), (first, *others) in alike.items():
        command = f"make table TABLE={found[0].spec.id} RUN=1{at} DATASET={first}"
        likewise = f" (likewise {', '.join(others)})" if others else ""
        lines.append(f"{NONE} not run for {names}: {command}{likewise}")
    return lines


def _lost(run: Record, key: str, where: str) -> str:
    """Return why a run has no value of a quantity."""
    if run.status != "done":
        return f"{run.status} on {where}: {run.reason}"
    reason = run.reasons.get(f"curves.{key}", run.reasons.get(key, "not measured in this run"))
    return f"no {QUANTITIES[key].label} on {where}: {reason}"
