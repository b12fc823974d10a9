"""The grid of representations and latent samplers: one table a metric, and a heat map of both."""

import io
import itertools
from collections.abc import Sequence

from latent_ot.catalog import SCORING, Catalog
from latent_ot.quantities import QUANTITIES
from latent_ot.record import Record
from latent_ot.report.groups import by_protocol
from latent_ot.report.ranking import by_method, heading, measured, seeds
from latent_ot.report.statistics import t_interval
from latent_ot.report.text import Cell, Column, Grid, show

METRICS = {"image": ("fid", "prd_f8"), "points": ("ot_divergence",)}
Pairs = dict[tuple[str, str], list[Record]]


def pairs(group: Sequence[Record]) -> Pairs:
    """Return (representation, sampler) -> finished runs of one group, those whose settings were left alone."""
    fixed = {name for name, row in Catalog().pairs.items() if "settings" in row}
    found: Pairs = {}
    for runs in by_method(group, "done").values():
        for run in runs:
            trained = [part.stage for part in run.stages if part.stage not in SCORING]
            if len(trained) == 2 and not run.overrides and run.method not in fixed:
                found.setdefault((trained[0], trained[1]), []).append(run)
    return {pair: list({run.seed: run for run in runs}.values()) for pair, runs in found.items()}


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
    for metric in metrics(found):
        best = _best(found, metric)
        cells = [
            (Cell(r), *(measured(found.get((r, c), []), metric, mark=(r, c) == best, always=False) for c in columns))
            for r in rows
        ]
        head = (Column("representation", "", right=False), *(Column(c, c) for c in columns))
        name = QUANTITIES[metric].head
        title = f"{heading(group)[0]}: {name} of representations with latent samplers"
        lost = tuple(f"{r.method} seed {r.seed}: {r.status}: {r.reason}" for r in group if r.status != "done")
        tables.append(Grid(title, head, tuple(cells), heading(group)[1], lost, "the best pair"))
    return tables


def print_grid(records: Sequence[Record]) -> None:
    """Print the tables of ``records``: drawn on a terminal, plain text anywhere else."""
    show([table for group in by_protocol(records).values() for table in grid_tables(group)])


def metrics(found: Pairs) -> tuple[str, ...]:
    """Return the metrics that a grid is drawn by."""
    runs = [run for group in found.values() for run in group]
    return METRICS["points" if any("ot_divergence" in run.metrics for run in runs) else "image"]


def heat_map(group: Sequence[Record]) -> bytes | None:
    """Return the tables as one SVG, a panel a metric, darker where better; None if there is no grid."""
    found = pairs(group)
    if not is_grid(found):
        return None
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from latent_ot.report.plots import SETTINGS

    rows, columns = axes(found)
    shown = metrics(found)
    out = io.BytesIO()
    with rc_context({**SETTINGS, "axes.grid": False}):  # type: ignore[dict-item]
        size = (1.6 + 0.62 * len(columns), len(shown) * (1.1 + 0.34 * len(rows)))
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        for panel, metric in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
            quantity = QUANTITIES[metric]
            values = np.array([[_mean(found, (r, c), metric) for c in columns] for r in rows], dtype=float)
            shades = np.log10(np.maximum(values, 1e-3)) if quantity.direction == "down" else values
            panel.imshow(shades, cmap="Blues_r" if quantity.direction == "down" else "Blues", aspect="auto")
            panel.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
            panel.set_yticks(range(len(rows)), rows)
            panel.set_title(quantity.head + (", logarithmic shade" if quantity.direction == "down" else ""), fontsize=9)
            middle = np.nanmean([np.nanmin(shades), np.nanmax(shades)])
            for (i, j), value in np.ndenumerate(values):
                dark = (shades[i, j] < middle) == (quantity.direction == "down")
                cell = measured(found.get((rows[i], columns[j]), []), metric)
                text = quantity.text(value) + cell.dagger if np.isfinite(value) else ""
                panel.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "#222222")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _mean(found: Pairs, pair: tuple[str, str], metric: str) -> float:
    values = seeds(found.get(pair, []), metric)
    return t_interval(list(values.values())).mean if values else float("nan")


def _best(found: Pairs, metric: str) -> tuple[str, str]:
    sign = 1 if QUANTITIES[metric].direction == "down" else -1
    means = {pair: sign * _mean(found, pair, metric) for pair in found}
    return min((pair for pair in means if means[pair] == means[pair]), key=lambda pair: means[pair])
