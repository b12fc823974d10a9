"""The grid of representations and latent samplers: one table a metric, and a heat map of both."""

import itertools
from collections.abc import Sequence

import numpy as np

from latent_ot.catalog import SCORING, Catalog
from latent_ot.pictures import charts
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import Record
from latent_ot.report.groups import by_method, by_protocol
from latent_ot.report.ranking import heading, measured, primary
from latent_ot.report.text import Cell, Column, Grid, show

METRICS = {"fid": ("fid", "prd_f8"), "ot_divergence": ("ot_divergence",)}
"""The metric that ranks a group -> those that its grid is drawn by."""
Pairs = dict[tuple[str, str], list[Record]]


def pairs(group: Sequence[Record]) -> Pairs:
    """Return (representation, sampler) -> finished runs of one group, those whose settings were left alone."""
    fixed = {name for name, row in Catalog().pairs.items() if "settings" in row}
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for runs in by_method(group, "done").values():
        for run in runs:
            trained = [part.stage for part in run.stages if part.stage not in SCORING]
            if len(trained) == 2 and not run.overrides and run.method not in fixed:
                found.setdefault((trained[0], trained[1]), {})[run.seed] = run
    return {pair: [*runs.values()] for pair, runs in found.items()}


def axes(found: Pairs) -> tuple[list[str], list[str]]:
    """Return the representations and the samplers of a grid, by name."""
    rows, columns = (sorted({pair[i] for pair in found}) for i in (0, 1))
    return rows, columns


def is_grid(found: Pairs) -> bool:
    """Whether there is anything to compare both ways: two representations that share two samplers."""
    rows, columns = axes(found)
    met = [{c for c in columns if (r, c) in found} for r in rows]
    return any(len(one & other) > 1 for one, other in itertools.combinations(met, 2))


def grid_tables(group: Sequence[Record]) -> list[Grid]:
    """Return one table for each metric, representations down and samplers across; none if there is no grid."""
    found = pairs(group)
    if not is_grid(found):
        return []
    rows, columns = axes(found)
    tables = []
    for metric in METRICS[primary(group)]:
        quantity = QUANTITIES[metric]
        sign = 1 if quantity.direction == "down" else -1
        values = {pair: cell.data[""] for pair, runs in found.items() if (cell := measured(runs, metric)).text != NONE}
        best = min(values, key=lambda pair: sign * values[pair])
        cells = [
            (Cell(r), *(measured(found.get((r, c), []), metric, mark=(r, c) == best, always=False) for c in columns))
            for r in rows
        ]
        head = (Column("representation", "", right=False), *(Column(c, c) for c in columns))
        title = f"{heading(group)[0]}: {quantity.head} of representations with latent samplers"
        lost = tuple(f"{r.method} seed {r.seed}: {r.status}: {r.reason}" for r in group if r.status != "done")
        tables.append(Grid(title, head, tuple(cells), heading(group)[1], lost, "the best pair"))
    return tables


def print_grid(records: Sequence[Record]) -> None:
    """Print the tables of ``records``: drawn on a terminal, plain text anywhere else."""
    show([table for group in by_protocol(records).values() for table in grid_tables(group)])


def heat_map(group: Sequence[Record]) -> bytes | None:
    """Return the tables as one SVG, a panel a metric, darker where better; None if there is no grid."""
    tables = grid_tables(group)
    panels = []
    for metric, table in zip(METRICS[primary(group)], tables, strict=bool(tables)):
        quantity, cells = QUANTITIES[metric], [row[1:] for row in table.rows]
        values = np.array([[np.nan if c.data[""] is None else c.data[""] for c in row] for row in cells])
        texts = [["" if c.data[""] is None else quantity.text(c.data[""]) + c.signs for c in row] for row in cells]
        panels.append((quantity.head, values, texts, quantity.direction == "down"))
    return charts.heat_map(*axes(pairs(group)), panels) if panels else None
