"""The grid of representations and latent samplers: one table a metric, and a heat map of both."""

import itertools
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from latent_ot.catalog import SCORING, suite
from latent_ot.pictures import charts
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.groups import by_method, by_protocol
from latent_ot.report.ranking import UPDATES, Standing, heading, left_over, measured, primary, seeds, standing_of
from latent_ot.report.text import Cell, Column, Grid, show

METRICS = {"fid": ("fid", "prd_f8"), "ot_divergence": ("ot_divergence",)}
"""The metric that ranks a group -> those that its grid is drawn by, if runs have them."""
Pairs = dict[tuple[str, str], list[Record]]


def pairs(group: Sequence[Record]) -> Pairs:
    """Return (representation, sampler) -> runs of one group, those whose settings were left alone, if one finished."""
    fixed = {name for name, row in suite().pairs.items() if "settings" in row}
    found: dict[tuple[str, str], dict[int, Record]] = {}
    every = by_method(group)
    for method in by_method(group, "done"):
        for run in every[method]:
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


def _metrics(group: Sequence[Record]) -> list[str]:
    return [metric for metric in METRICS[primary(group)] if any(metric in run.metrics for run in group)]


def grid_tables(group: Sequence[Record]) -> list[Grid]:
    """Return one table for each metric, representations down and samplers across; none if there is no grid."""
    found = pairs(group)
    if not is_grid(found):
        return []
    rows, columns = axes(found)
    named = {f"{r}+{c}": runs for (r, c), runs in found.items()}
    tables = []
    for metric in _metrics(group):
        quantity = QUANTITIES[metric]
        sign = 1 if quantity.direction == "down" else -1
        values = {name: given for name, runs in named.items() if (given := seeds(runs, metric))}
        beyond = standing_of(metric, named, [r for r in group if r.method == DATA]).past
        fit = values.keys() - beyond - left_over(metric, values, named)
        best = sorted(fit, key=lambda name: (sign * fmean(values[name].values()), name))[:1]
        stand = Standing(frozenset(best), beyond)
        cells = []
        for r in rows:
            numbers = (measured(found.get((r, c), []), metric, False, f"{r}+{c}", stand) for c in columns)
            every = [run for (representation, _), runs in found.items() if representation == r for run in runs]
            cells.append((Cell(r), *numbers, measured(every, UPDATES)))
        head = (Column("representation", "", right=False), *(Column(c, c) for c in columns))
        head += (Column(UPDATES, QUANTITIES[UPDATES].label),)
        title = f"{heading(group)[0]}: {quantity.head} of representations with latent samplers"
        lost = tuple(f"{r.method} seed {r.seed}: {r.status}: {r.reason}" for r in group if r.status != "done")
        tables.append(Grid(title, head, tuple(cells), heading(group)[1], lost, "the best pair"))
    return tables


def print_grid(records: Sequence[Record]) -> None:
    """Print the tables of ``records``: drawn on a terminal, plain text anywhere else."""
    show([table for group in by_protocol(records).values() for table in grid_tables(group)])


def panels(group: Sequence[Record]) -> tuple[list[str], list[str], list[charts.Panel]] | None:
    """Return the representations, the samplers, and a panel a metric, as a heat map has them; None without a grid."""
    tables, drawn = grid_tables(group), list[charts.Panel]()
    for metric, table in zip(_metrics(group), tables, strict=bool(tables)):
        quantity, cells = QUANTITIES[metric], [row[1:-1] for row in table.rows]  # without names and updates
        values = np.array([[np.nan if c.data[""] is None else c.data[""] for c in row] for row in cells])
        texts = [["" if c.data[""] is None else quantity.text(c.data[""]) + c.signs for c in row] for row in cells]
        drawn.append((quantity.head, values, texts, quantity.direction == "down"))
    return (*axes(pairs(group)), drawn) if drawn else None


def heat_map(group: Sequence[Record]) -> bytes | None:
    """Return the tables as one SVG, a panel a metric, darker where better; None if there is no grid."""
    found = panels(group)
    return charts.heat_map(*found) if found else None
