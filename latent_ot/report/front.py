"""The front page's table of a data set: methods ranked, budgets side by side, published numbers in their own column."""

from collections.abc import Mapping, Sequence

from latent_ot.published import load_table, stands_for, table_names
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.groups import Group
from latent_ot.report.ranking import (
    TIES,
    YARDSTICK,
    by_method,
    conditions,
    measured,
    primary,
    protocol_line,
    ranked_by,
    seeds,
)
from latent_ot.report.statistics import best
from latent_ot.report.text import Cell, Column, Grid

Groups = Mapping[Group, Sequence[Record]]
"""See ``by_protocol``."""


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
    metric = primary(ranking)
    quantity = QUANTITIES[metric]
    protocols = list(dict.fromkeys(key.protocol for key in groups))
    tags = {p: f" [{chr(ord('a') + i)}]" if len(protocols) > 1 else "" for i, p in enumerate(protocols)}
    placed = ranked_by({m: runs for m, runs in by_method(ranking, "done").items() if m != DATA}, metric)
    runs = by_method(record for group in groups.values() for record in group)
    order = [*placed, *sorted(m for m in runs if m not in placed and m != DATA)]
    said = _published(dataset, metric, runs)

    columns = [Column("rank", "#"), Column("method", "method", right=False)]
    columns += [
        Column(f"{metric}@{key.protocol}@{key.at.replace(', ', '@')}", f"{quantity.head}, {key.at}{tags[key.protocol]}")
        for key in groups
    ]
    columns += [Column("published", f"published {quantity.label}", right=False)] if said else []
    columns += [Column("pictures", "samples", right=False)] if links else []
    done = [by_method(group, "done") for group in groups.values()]
    winners = [best({m: seeds(d[m], metric) for m in d if m != DATA}, quantity.direction, quantity.text) for d in done]
    ended = [by_method(group) for group in groups.values()]
    rows = []
    for method in [DATA, *order]:
        rank = placed.get(method)
        row = [Cell(str(rank or ""), {"": rank}), Cell.of(YARDSTICK if method == DATA else method)]
        for finished, every, marked in zip(done, ended, winners, strict=True):
            cell = measured(finished.get(method, []), metric, always=False, mark=method in marked)
            lost = () if method in finished else tuple(every.get(method, ()))
            row.append(Cell(lost[0].status, cell.data, rests=lost) if lost else cell)
        row += [Cell.of(said.get(method, NONE))] if said else []
        row += [Cell.of(f"[samples]({links[method]})" if method in links else "")] if links else []
        rows.append(tuple(row))
    header = []
    for key, group in groups.items():
        trained = [r for r in group if r.method != DATA] or list(group)
        first = ", which ranks" if group is ranking and len(groups) > 1 else ""
        header.append(f"Budget {key.at}{tags[key.protocol]}{first}: {conditions(trained)}")
    header += [
        protocol_line(group) + tags[protocol]
        for protocol, group in {key.protocol: group for key, group in groups.items()}.items()
    ]
    if said:
        header.append(
            f"Published: of {stands_for(dataset)}, each number under its paper's protocol, none of which is ours"
        )
    return Grid(dataset, tuple(columns), tuple(rows), tuple(header), (), TIES)


def _published(dataset: str, metric: str, methods: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Return method -> the numbers that the papers print for it, each with its tables."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for spec in map(load_table, table_names()):
        for column in (c for c in spec.columns if c.metric == metric and c.dataset == stands_for(dataset)):
            for row in (row for row in spec.rows if column.key in row.values):
                settings = spec.settings(row, column)
                number = column.text(row.values[column.key])
                for method, runs in methods.items():
                    if runs[0].is_run_of(row.method, settings):
                        found.setdefault(method, {}).setdefault(number, {})[spec.id] = None
    return {m: ", ".join(f"{n} ({', '.join(ids)})" for n, ids in numbers.items()) for m, numbers in found.items()}
