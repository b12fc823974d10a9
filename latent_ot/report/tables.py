"""A published table beside ours: the same rows and columns, each cell ``published | ours ± interval``.

Columns that follow a curve, as figures do, are a table of their own: every row's curve at shares of the budget.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from latent_ot.budgets import settings
from latent_ot.errors import choose
from latent_ot.published import (
    PublishedRow,
    PublishedTable,
    in_words,
    load_table,
    stands_for,
    suite_methods,
    table_names,
)
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.beside import Beside, places
from latent_ot.report.curves import NAMES, SHARES, ordering
from latent_ot.report.marks import not_published
from latent_ot.report.ranking import (
    TIES,
    YARDSTICK,
    bench_table,
    conditions,
    measured,
    protocol_line,
    summed_up,
)
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
        dataset: ours; only the columns that it stands for are shown. None: all columns, each beside its own data set,
            or where nothing was run on that, beside one that stands for it.
        budget: of our runs; None: the suite's default where the data set was run at it, else the largest.
        records: all result records.
        format: the form.

    Raises:
        InputError: for an unknown table, format or budget, or a data set that stands for none of the columns.
    """
    return render(grids(load_table(id), dataset, budget, records), format)


def render_published(
    id: str | None,
    dataset: str | None,
    budget: str | None,
    records: Sequence[Record],
    form: str,
    ran: Mapping[str, str] | None = None,
) -> str:
    """Return ``table`` over all result records, without a newline at its end.

    Without an ``id`` these are all tables, or all that have a column for the data set. ``ran``: published data set ->
    the one of ours to show in its place.
    """
    chosen = [id] if id else table_names() if dataset is None else shown_for(dataset)
    return render([g for t in chosen for g in grids(load_table(t), dataset, budget, records, ran)], form).rstrip("\n")


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
    """Return the table as grids; see ``table``. A column is repeated for each protocol that we have numbers under."""
    if budget:
        choose("budget", budget, {*settings()["budgets"], *(r.budget for r in records)})
    found = places(spec, dataset, budget, records, ran)
    plain = [p for p in found if not p.column.curve]
    shown = [_table(spec, plain, budget)] if plain else []
    curves: dict[tuple[str, str], list[Beside]] = {}
    for p in (p for p in found if p.column.curve):
        curves.setdefault((p.dataset, p.under), []).append(p)
    shown += [_curves(group, budget) for group in curves.values()]
    shown += [_constants(spec, records)] if spec.values else []
    source = f"Published: {spec.title}, {spec.place}. {spec.protocol}"
    shown[0] = replace(shown[0], header=(source, *shown[0].header))
    notes = [f"{row.label}: {row.note}" for row in spec.rows if row.note]
    notes += [f"published: {note}" for note in (*_said_otherwise(spec, found), *spec.notes)]
    shown[-1] = replace(shown[-1], notes=(*shown[-1].notes, *notes))
    return [replace(grid, notes=(*not_published(grid.rests, records), *grid.notes)) for grid in shown]


def _table(spec: PublishedTable, found: Sequence[Beside], budget: str | None) -> Grid:
    columns = [Column("method", "method", right=False), *(Column(p.key, p.column.head + p.tag) for p in found)]
    yardstick = [measured(_data(p), p.column.metric, before=f"{NONE} | ") for p in found]
    shown = any(cell.text != NONE for cell in yardstick) and all(row.method != DATA for row in spec.rows)
    rows: list[tuple[Cell, ...]] = [(Cell(YARDSTICK, {"": DATA}), *yardstick)] if shown else []
    winners = {p.key: p.winners() for p in found}
    for row in spec.rows:
        rows.append((_label(row), *(_cell(p, row, row.label in winners[p.key]) for p in found)))
    notes = (*_missing(found, budget), *_asked(found))
    title = f"{spec.id}: {spec.caption} (published | ours)"
    return Grid(title, tuple(columns), tuple(rows), tuple(_ours(found, budget)), notes, f"ours: {TIES}", spec.id)


def _curves(found: Sequence[Beside], budget: str | None) -> Grid:
    """Return curves over one data set and protocol: every row of each at shares of the budget.

    The notes have each curve's order at the end, and where it is drawn.
    """
    spec, runs = found[0].spec, [r for place in found for r in place.runs if r.method != DATA]
    columns = [Column("curve", "", right=False), Column("method", "method", right=False)]
    rows, notes = [], [*_missing(found, budget), *_asked(found)]
    for place in found:
        metric = place.column.metric
        winners = [place.winners(share) for share in SHARES]
        for i, row in enumerate(spec.rows):
            name = Cell("" if i else QUANTITIES[metric].head, {"": place.column.key})  # named once, in its first row
            shares = zip(SHARES, winners, strict=True)
            runs_of = place.of(row)
            cells = (
                summed_up(place.values(row, s), metric, mark=row.label in best, records=runs_of) for s, best in shares
            )
            rows.append((name, _label(row), *cells))
        ended = {
            row.label + summed_up(values, metric, records=place.of(row)).dagger: values
            for row in spec.rows
            if (values := place.values(row))
        }
        if len(ended) > 1:
            notes.append(f"ours at the end, {QUANTITIES[metric].label}: {ordering(ended, metric)}")
        if place.figure:
            notes.append(f"drawn by `latent-ot leaderboard`, in its folder: {place.figure}")
    seen = ""
    if runs:
        images = [f"{share * runs[0].images_budget:,.0f}" for share in SHARES[:-1]]
        seen = f" ({', '.join(images[:-1])} and {images[-1]} training images seen)"
    header = (
        *_ours(found, budget),
        f"After 1/8, 1/4 and 1/2 of the budget{seen} and at the end; each the mean of a tenth of the budget around the "
        "place, at the end of the last twentieth.",
    )
    labels = dict.fromkeys(place.column.label for place in found)
    title = f"{spec.id}: {spec.caption}; {', '.join(labels)}{found[0].tag} (ours)"
    columns += map(Column, NAMES, NAMES)
    return Grid(title, tuple(columns), tuple(rows), header, tuple(notes), f"ours: {TIES}", spec.id)


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


def _data(place: Beside) -> list[Record]:
    return [r for r in place.runs if r.method == DATA]


def _cell(place: Beside, row: PublishedRow, mark: bool) -> Cell:
    ours = summed_up(place.values(row), place.column.metric, mark=mark, records=place.of(row))
    number, said = row.values.get(place.column.key), row.text_values.get(place.column.key)
    before = place.column.text(number) if number else NONE
    data = {"published": number and number.value, "published_spread": number and number.std}
    data |= {"published_text": said.value} if said else {}
    return replace(ours, data={**data, **ours.data}, before=f"{before} | ")


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
    """Return the settings with which rows are run, and for which columns where these differ."""
    columns = {p.column.label for p in found}
    said: dict[tuple[str, str], dict[str, None]] = {}  # (row, settings) -> columns
    for place, row in itertools.product(found, found[0].spec.rows):
        if row.method and (words := in_words(place.spec.settings(row, place.column))):
            said.setdefault((row.label, words), {})[place.column.label] = None
    alike: dict[tuple[str, str], list[str]] = {}
    for (label, words), at in said.items():
        alike.setdefault((words, "" if at.keys() == columns else " on " + " and ".join(at)), []).append(label)
    return [f"{', '.join(labels)}{where}: ours with {words}" for (words, where), labels in alike.items()]


def _ours(found: Sequence[Beside], budget: str | None) -> list[str]:
    """Return one line for each data set and protocol: what stands for what, and under which conditions."""
    lines: dict[str, None] = {}
    empty: dict[str, None] = {}
    for place in found:
        published = place.column.dataset
        stands = "stands for" if stands_for(place.dataset) == published else "in the place of"
        what = place.dataset if place.dataset == published else f"{place.dataset} {stands} {published}"
        if place.runs:
            runs = [r for r in place.runs if r.method != DATA] or place.runs
            lines[f"Ours{place.tag}: {what}; budget {runs[0].at}, {conditions(runs)}"] = None
            lines[protocol_line(place.runs)] = None
        else:
            empty[what] = None
    nothing = f"Nothing was run{f' at budget {budget}' if budget else ''} on: {', '.join(empty)}"
    return [*lines, *([nothing] if empty else [])]


def _missing(found: Sequence[Beside], budget: str | None) -> list[str]:
    """Return why cells are empty, and how to fill those that were not run."""
    why: dict[str, dict[str, None]] = {}
    to_run: dict[tuple[str, str], dict[str, None]] = {}
    for place, row in itertools.product(found, found[0].spec.rows):
        runs, key = place.of(row), place.column.metric
        if place.values(row):
            continue
        at = place.group.budget if place.group else budget
        where = place.dataset + (f" at budget {place.group.at if place.group else at}" if at else "")
        if row.method is None:
            reason = "quoted by the paper; nothing of the suite's"
        elif row.method not in {*suite_methods(), DATA}:
            reason = f"{row.method} is not in the suite yet"
        elif not runs and place.group and place.group.threads != 1:
            reason = f"not run on {where}"
        elif not runs:
            if row.method != DATA:  # the yardstick comes with any method
                to_run.setdefault((place.dataset, f" BUDGET={at}" if at else ""), {})[row.label] = None
            continue
        elif runs[0].status != "done":
            reason = f"{runs[0].status} on {where}: {runs[0].reason}"
        else:
            label, known = QUANTITIES[key].label, runs[0].reasons
            reason = f"no {label} on {where}: {known.get(f'curves.{key}', known.get(key, 'not measured in this run'))}"
        why.setdefault(reason, {})[row.label] = None
    lines = [f"{NONE} for {', '.join(labels)}: {reason}" for reason, labels in why.items()]
    alike: dict[tuple[str, str], list[str]] = {}
    for (dataset, at), rows in to_run.items():
        alike.setdefault((", ".join(rows), at), []).append(dataset)
    for (names, at), (first, *others) in alike.items():
        command = f"make table TABLE={found[0].spec.id} RUN=1{at} DATASET={first}"
        likewise = f" (likewise {', '.join(others)})" if others else ""
        lines.append(f"{NONE} not run for {names}: {command}{likewise}")
    return lines
