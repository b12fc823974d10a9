"""The page to look at: every run, the claims and the published tables in one HTML file that opens from disk.

DataTables sorts, filters and hides columns, Plotly draws; both come with packages (``assets``) and nothing is fetched.
Numbers of different protocols stand in tables of their own, as everywhere.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from latent_ot.catalog import SCORING
from latent_ot.claims import claims
from latent_ot.published import PublishedColumn, PublishedRow, PublishedTable, load_table, stands_for, table_names
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.claims import claims_grid
from latent_ot.report.grid import panels
from latent_ot.report.groups import Group, by_method, by_protocol, gathered, numbered, title
from latent_ot.report.ranking import COST, conditions, further, primary, protocol_line, ranked
from latent_ot.report.tables import chosen
from latent_ot.report.text import Cell, Column, Grid
from latent_ot.report.verdicts import judge

MADE = b"<!doctype html>\n<!-- Made by latent-ot page"
"""How a page begins."""
FILTERS = {"dataset": "data set", "budget": "budget", "protocol": "protocol", "family": "family", "paper": "paper"}
"""What rows are chosen by -> its label."""
CAPTIONS = {
    "samples": "Samples",
    "points": "Samples (data behind them)",
    "copies": "Samples that lie nearest to training images, each above the image that it is near",
    "reconstructions": "Held-out images above, their reconstructions below",
    "interpolations": "Walks between drawn codes, one pair a row",
    "latent": "Codes of training images and drawn ones, in the plane",
    "codes": "Codes drawn by the latent sampler, and of the training images",
}
"""Kinds of pictures, in the order in which they are shown."""
CELLS = ("samples", "copies", "reconstructions", "interpolations")
"""Those made of small images, whose pixels are shown as they are."""
POINTS = 60
"""Most points of a drawn loss, each the mean of a stretch of what was logged."""
MISSING = 1e99
"""Where a cell without a number is sorted: behind all others, best first."""
DASHES = ("solid", "dash", "dot", "dashdot")
HUES = 10  # of Plotly's own colours, after which they come again

Pictures = Callable[[Record], Mapping[str, str]]
"""Gives a run's pictures: kind -> path from the page."""


@dataclass(frozen=True)
class Row:
    """A method under one protocol and budget; ``facts`` has a value, or several with commas, for each of ``FILTERS``.

    ``cells``: key of a column -> what stands there. ``runs``: all of it; none for a yardstick that is no run.
    ``beside``: table, column, published number, ours.
    """

    id: str
    name: str
    where: str
    facts: Mapping[str, str]
    cells: Mapping[str, Cell]
    runs: Sequence[Record]
    pictures: Sequence[tuple[str, str]]
    figures: Sequence[tuple[str, str]]
    beside: Sequence[tuple[str, str, str, str]]

    @property
    def shown(self) -> Record:
        """The run whose settings and command stand for all seeds: the first that is done, else the first."""
        return next((run for run in self.runs if run.status == "done"), self.runs[0])


@dataclass(frozen=True)
class Board:
    """One data set and protocol: a table of rows, and of each budget its conditions, notes and figures."""

    dataset: str
    protocol: str
    columns: Sequence[Column]
    hidden: Sequence[str]
    rows: Sequence[Row]
    told: Sequence[tuple[str, str]]
    notes: Mapping[str, Sequence[str]]
    figures: Sequence[tuple[str, str]]


def site(records: Sequence[Record], pictures: Pictures) -> bytes:
    """Return the page over ``records``, as UTF-8; the same records give the same bytes."""
    boards = _boards(by_protocol(records), pictures)
    every = [row for board in boards for row in board.rows if row.runs]
    options = {key: sorted({v for row in every for v in row.facts[key].split(", ") if v}) for key in FILTERS}
    verdicts = claims_grid([judge(claim, records) for claim in claims()])
    named = [tuple(replace(c, text=c.text or str(c.data.get("", ""))) for c in row) for row in verdicts.rows]
    tables = {key: grids for key, grids in chosen(None, None, None, records).items() if any(g.rests for g in grids)}
    page = Environment(
        loader=PackageLoader("latent_ot.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    ).get_template("site.html.j2")
    told = {
        "captions": CAPTIONS,
        "cells": CELLS,
        "filters": FILTERS,
        "options": options,
        "order": _order,
        "quantities": QUANTITIES,
    }
    told |= {"stated": _stated, "numbered": numbered}
    claimed = replace(verdicts, rows=tuple(named))
    return page.render(boards=boards, rows=every, claims=claimed, tables=tables, **told).encode() + b"\n"


@cache
def assets() -> dict[str, bytes]:
    """Return the files that the page loads, by name: DataTables as ``itables`` ships it, Plotly as ``plotly`` does.

    A browser imports no module from disk, so that DataTables' is handed to it as a text.
    """
    tables = files("itables").joinpath("html")
    source = json.dumps(tables.joinpath("dt_bundle.js").read_text("utf-8"))
    module = f"window.tables = import(URL.createObjectURL(new Blob([{source}], {{type: 'text/javascript'}})));\n"
    return {
        "tables.js": module.encode(),
        "tables.css": tables.joinpath("dt_bundle.css").read_bytes(),
        "plotly.js": files("plotly").joinpath("package_data", "plotly.min.js").read_bytes(),
    }


def _boards(groups: Mapping[Group, Sequence[Record]], pictures: Pictures) -> list[Board]:
    """Return the boards, each with all budgets of its data set and protocol."""
    together = gathered(((key.dataset, key.protocol), key) for key in groups)
    boards = []
    for (dataset, _), keys in together.items():
        columns: dict[str, Column] = {}
        hidden: dict[str, None] = {}
        rows: list[Row] = []
        told, notes, figures = [], {}, list[tuple[str, str]]()
        for key in keys:
            main, more = ranked(groups[key]), further(groups[key])
            columns |= {c.key: c for c in (*main.columns, *more.columns) if c.key != "method"}
            hidden |= dict.fromkeys(c.key for c in more.columns if c.key not in ("method", "rank", *COST))
            rows += _rows(key, groups[key], (main, more), pictures)
            told += [(key.at, conditions(groups[key]))]
            notes[key.at] = [*main.legend("bold:"), *dict.fromkeys((*main.remarks, *more.remarks))]
            figures += _figures(key, groups[key])
        under = protocol_line(groups[keys[0]])
        ordered = sorted(columns.values(), key=lambda c: (c.key != "rank", c.key in hidden, c.key in COST))
        boards.append(Board(dataset, under, ordered, [*hidden], rows, told, notes, figures))
    return boards


def _rows(key: Group, group: Sequence[Record], grids: Iterable[Grid], pictures: Pictures) -> list[Row]:
    """Return the rows of a group's tables, each with all of its cells."""
    cells: dict[str, dict[str, Cell]] = {}
    for grid in grids:
        for row in grid.rows:
            named = row[grid.named].data[""]
            cells.setdefault(named, {}).update({c.key: cell for c, cell in zip(grid.columns, row, strict=True)})
    every, rows, within = by_method(group), [], re.sub(r"\W+", "-", "-".join(map(str, key)))
    for place, (method, found) in enumerate(cells.items()):
        runs = sorted(every.get(method, []), key=lambda run: (run.seed, run.stem))
        papers = sorted(paper for paper in {*_papers(runs), *(run.paper for run in runs)} if paper)
        facts = {"dataset": key.dataset, "budget": key.at, "protocol": key.protocol, "family": family(runs)}
        facts["paper"] = ", ".join(papers)
        drawn = next(filter(None, (pictures(run) for run in runs if run.status == "done")), {})
        shown = [(kind, drawn[kind]) for kind in CAPTIONS if kind in drawn]
        where = f"{key.dataset}, budget {key.at}, protocol {key.protocol}"
        figures = _followed(runs, primary(group)) if runs else []
        named = found["method"].text if not runs else title(method, runs)
        beside = _beside(key.dataset, runs, found)
        rows.append(Row(f"{within}-{place}", named, where, facts, found, runs, shown, figures, beside))
    return rows


def family(runs: Sequence[Record]) -> str:
    """Return in words how a method is made, by its stages."""
    if not runs:
        return "real data"
    run = next((run for run in runs if run.stages), runs[0])
    parts = [part.stage for part in run.stages if part.stage not in SCORING]
    if run.external or run.method == DATA or not parts:
        return "external" if run.external else "real data" if run.method == DATA else "not trained"
    return "end to end" if len(parts) == 1 else f"on {parts[0]}" + (" refined" if len(parts) > 2 else "")


def _papers(runs: Sequence[Record]) -> set[str]:
    """Return the papers that print a row which ``runs`` are runs of."""
    return {spec.paper for run in runs for spec, column, row in _printed(run.method) if _is_of(run, spec, column, row)}


def _is_of(run: Record, spec: PublishedTable, column: PublishedColumn, row: PublishedRow) -> bool:
    return run.is_run_of(*spec.asked(row, column))


@cache
def _printed(method: str) -> list[tuple[PublishedTable, PublishedColumn, PublishedRow]]:
    """Return where papers have a row of a method, whatever its settings."""
    every = ((spec, c, row) for spec in map(load_table, table_names()) for c in spec.columns for row in spec.rows)
    return [(spec, c, row) for spec, c, row in every if spec.asked(row, c)[0] == method.partition("[")[0]]


def _beside(dataset: str, runs: Sequence[Record], cells: Mapping[str, Cell]) -> list[tuple[str, str, str, str]]:
    """Return the numbers that papers print for a row on the data set that ours stands for, with ours."""
    found = []
    for spec, column, row in _printed(runs[0].method) if runs else ():
        if column.dataset == stands_for(dataset) and column.key in row.values and _is_of(runs[0], spec, column, row):
            ours = cells.get(column.metric)
            told = (ours.text + ours.signs) if ours else "–"
            found.append((f"{spec.id} ({row.label})", column.head, column.text(row.values[column.key]), told))
    return found


def _followed(runs: Sequence[Record], metric: str) -> list[tuple[str, str]]:
    """Return the figures of a method's own curves, of every seed: the metric that ranks it, and its losses."""
    done = [run for run in runs if run.status == "done"]
    label, figures = QUANTITIES[metric].label, []
    scores = [
        _trace(f"{label}{' (Gaussian on the codes)' * (key != metric)}, seed {run.seed}", run.curves.series(key), i)
        for i, run in enumerate(done)
        for key in (metric, f"{metric}_gaussian")
        if run.curves.series(key)
    ]
    if scores:
        figures.append((f"{label} against images seen", _figure(scores, label)))
    losses = [
        _trace(f"{name}, seed {run.seed}", _thinned(series), i)
        for run in done[:1]
        for i, (name, series) in enumerate(sorted(run.curves.loss.items()))
        if series
    ]
    if losses:
        figures.append(("What training followed, against images seen", _figure(losses, "value", log=False)))
    return figures


def _figures(key: Group, group: Sequence[Record]) -> list[tuple[str, str]]:
    """Return the figures of a group: the metric that ranks it over training, and the grid of pairs."""
    metric = primary(group)
    quantity, figures = QUANTITIES[metric], []
    traces = []
    for place, (method, runs) in enumerate(sorted(by_method(group, "done").items())):
        followed = {run.seed: run.curves.series(metric) or run.curves.series(f"{metric}_gaussian") for run in runs}
        for seed, series in ((seed, series) for seed, series in followed.items() if series):
            more = {"legendgroup": method, "showlegend": seed == min(s for s, found in followed.items() if found)}
            traces.append(_trace(method, series, place) | more)
    if traces:
        told = (
            f"{quantity.label} against images seen, {key.at}, one line a seed (of pairs under a Gaussian on the codes)"
        )
        figures.append((told, _figure(traces, quantity.head)))
    if drawn := panels(group):
        down, across, shown = drawn
        for head, values, texts, less in shown:
            scale = np.log10 if np.nanmin(values) > 0 else np.asarray  # one bad cell else leaves the others one colour
            heat = {
                "type": "heatmap",
                "x": across,
                "y": down,
                "z": [[None if np.isnan(v) else float(f"{v:.5g}") for v in row] for row in scale(values)],
                "text": texts,
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
                "texttemplate": "%{text}",
                "colorscale": "Viridis",
                "reversescale": not less,
                "hovertemplate": f"%{{y}} with %{{x}}: %{{text}}<extra>{head}</extra>",
            }
            layout = {"yaxis": {"autorange": "reversed"}, "height": 140 + 44 * len(down)}
            figures.append((f"{head} of representations with latent samplers, {key.at}", _json([heat], layout)))
    return figures


def _trace(name: str, series: Sequence[tuple[float, float | None]], place: int) -> dict[str, Any]:
    """Return a line of Plotly's; places have colours, and dashes once these are used up."""
    drawn = [(x, y) for x, y in series if x > 0 and y is not None]
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(drawn) < POINTS / 2 else "lines",
        "name": name,
        "x": [x for x, _ in drawn],
        "y": [float(f"{y:.5g}") for _, y in drawn],
        "hue": place % HUES,
        "line": {"dash": DASHES[place // HUES % len(DASHES)]},
        "hovertemplate": "%{x:,} images: %{y:.4g}",
    }


def _thinned(series: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Return at most ``POINTS`` points of a series, each the mean of a stretch of it."""
    known = [(x, y) for x, y in series if y is not None]
    size = -(-len(known) // POINTS) or 1
    stretches = (known[i : i + size] for i in range(0, len(known), size))
    return [(round(fmean(x for x, _ in part)), fmean(y for _, y in part)) for part in stretches]


def _figure(traces: Sequence[Mapping[str, Any]], head: str, log: bool = True) -> str:
    across: dict[str, Any] = {"title": "training images seen", "tickformat": "~s"}
    across |= {"type": "log", "tick0": 3, "dtick": float(np.log10(2))} if log else {}  # at 1, 2, 4 thousand and so on
    kind = "log" if log and all(y > 0 for trace in traces for y in trace["y"]) else "linear"
    return _json(traces, {"xaxis": across, "yaxis": {"title": head, "type": kind}})


def _json(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> str:
    return json.dumps({"data": data, "layout": layout}, separators=(",", ":"), allow_nan=False)


def _order(key: str, cell: Cell | None) -> float | str:
    """Return what a cell is sorted by."""
    value = cell.data.get("") if cell else None
    if isinstance(value, int | float):
        return value
    return -MISSING if key in QUANTITIES and QUANTITIES[key].direction == "up" else MISSING


def _stated(run: Record) -> list[tuple[str, str, bool]]:
    """Return the settings of a run: name, value, and whether it was set by hand."""
    found = []
    for part in {**run.config, **run.overrides}:
        values, own = run.config.get(part), run.overrides.get(part)
        values, own = (given if isinstance(given, dict) else {} for given in (values, own))
        found += [(f"{part}.{key}", json.dumps(value), key in own) for key, value in {**values, **own}.items()]
    return found
