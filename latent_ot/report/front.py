"""The front page's table of a data set: methods ranked, budgets side by side, published numbers in their own column."""

from collections.abc import Callable, Mapping, Sequence

from latent_ot.published import load_table, stands_for, table_names
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.groups import Groups, by_method, gathered, lettered, title, trained
from latent_ot.report.marks import COPYING
from latent_ot.report.ranking import (
    TIES,
    UPDATES,
    conditions,
    measured,
    primary,
    protocol_line,
    ranked_by,
    standing_of,
)
from latent_ot.report.text import Cell, Column, Grid
from latent_ot.results import repeating


def fullest(groups: Groups) -> Sequence[Record]:
    """Return the group with the most finished methods, of equals the one with the largest budget."""
    return max(groups.values(), key=lambda group: len(by_method(group, "done")))


def front(groups: Groups, links: Mapping[str, str]) -> Grid:
    """Return one data set's table: the metric that ranks it, at every budget and protocol that it was run under.

    Args:
        groups: of the data set. The fullest one ranks.
        links: method -> where a picture of its samples lies.
    """
    ranking, dataset = fullest(groups), next(iter(groups)).dataset
    metric, tags = primary(ranking), lettered(key.protocol for key in groups)
    head, label = QUANTITIES[metric].head, QUANTITIES[metric].label
    ranked = by_method(ranking)
    yardstick = ranked.pop(DATA, [])
    placed = ranked_by(ranked, metric, yardstick)
    runs = by_method(record for group in groups.values() for record in group)
    said = _published(dataset, metric, runs)

    columns: list[tuple[Column, Callable[[str], Cell]]] = [
        (Column("rank", "#"), lambda m: Cell(str(placed.get(m, "")), {"": placed.get(m)})),
        (Column("method", "method", right=False), lambda m: Cell.of(title(m, runs.get(m, [])))),
    ]
    for key, group in groups.items():
        name = f"{metric}@{key.protocol}@{key.at.replace(', ', '@')}"
        columns.append((Column(name, f"{head}, {key.at}{tags[key.protocol]}"), _cells(group, metric)))
    if said:
        columns.append((Column("published", f"published {label}", right=False), lambda m: Cell.of(said.get(m, NONE))))
    for at, ran in {key.at: by_method(group) for key, group in groups.items()}.items():
        column = Column(f"{UPDATES}@{at.replace(', ', '@')}", f"{QUANTITIES[UPDATES].label}, {at}")
        columns.append((column, _updates(ran)))
    if links:
        shown = {method: f"[samples]({link})" for method, link in links.items()}
        columns.append((Column("pictures", "samples", right=False), lambda m: Cell.of(shown.get(m, ""))))
    methods = [DATA, *placed, *sorted(runs.keys() - {DATA, *placed})]
    copies = repeating(ranking) or set()
    block = next((i for i, method in enumerate(methods) if method in copies), None)
    header = []
    for key, group in groups.items():
        first = ", which ranks" if group is ranking and len(groups) > 1 else ""
        header.append(f"Budget {key.at}{tags[key.protocol]}{first}: {conditions(trained(group))}")
    header += [protocol_line(group) + tags[at] for at, group in {k.protocol: g for k, g in groups.items()}.items()]
    if said:
        what = f"of {stands_for(dataset)}, each number under its paper's protocol, none of which is ours"
        header.append(f"Published: {what}")
    rows = tuple(tuple(cell(method) for _, cell in columns) for method in methods)
    parts = {} if block is None else {block: COPYING}
    return Grid(dataset, tuple(column for column, _ in columns), rows, tuple(header), (), TIES, parts=parts)


def _cells(group: Sequence[Record], metric: str) -> Callable[[str], Cell]:
    """Return what gives a method's cell in a group's column: its value, or how it ended."""
    every, done = by_method(group), by_method(group, "done")
    compared = {method: every[method] for method in done if method != DATA}
    stand = standing_of(metric, compared, done.get(DATA, []))

    def cell(method: str) -> Cell:
        found = measured(every.get(method, []), metric, always=False, row=method, among=stand)
        if method in done or method not in every:
            return found
        return Cell(every[method][0].status, found.data, rests=tuple(every[method]))

    return cell


def _updates(runs: Mapping[str, Sequence[Record]]) -> Callable[[str], Cell]:
    """Return what gives the cell of a method's generator updates."""
    return lambda method: measured([] if method == DATA else runs.get(method, []), UPDATES)


def _published(dataset: str, metric: str, methods: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Return method -> the numbers that the papers print for it, each with its tables."""
    found: list[tuple[tuple[str, str], str]] = []
    for spec in map(load_table, table_names()):
        for column in (c for c in spec.columns if c.metric == metric and c.dataset == stands_for(dataset)):
            for row in (row for row in spec.rows if column.key in row.values):
                asked, number = spec.asked(row, column), column.text(row.values[column.key])
                found += [((m, number), spec.id) for m, r in methods.items() if r[0].is_run_of(*asked)]
    told = gathered((method, f"{n} ({', '.join(ids)})") for (method, n), ids in gathered(found).items())
    return {method: ", ".join(numbers) for method, numbers in told.items()}
