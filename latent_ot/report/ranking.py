"""The bench's own table: methods of one data set, protocol and budget, ranked, with the data row as the yardstick."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import COPIED, COSTS, DATA, TRAINING, UNSTEADY, Record, significant
from latent_ot.report.groups import (
    YARDSTICK,
    by_method,
    by_protocol,
    gathered,
    not_published,
    numbered,
    title,
    trained,
)
from latent_ot.report.marks import COLLAPSED, COPYING, PAST, lost, survivors
from latent_ot.report.statistics import Comparison, Rows, sampled, spread, t_interval
from latent_ot.report.text import Cell, Column, Grid
from latent_ot.results import repeating

UPDATES = "generator_updates"
COST = ("seconds", "images_seen", UPDATES)
SIZE = ("parameters", "peak_memory_mb")
KNOWN = "data (training)"
FEW = 500
"""Samples, below which a table warns of its figures."""
TIES = (
    "best, or tied with it (95 % interval of the difference contains zero: that over seeds or of the sampling, the "
    "wider of both; of one seed without either, equal as printed)"
)
Runs = Mapping[str, Sequence[Record]]
"""Name of a row -> its runs."""
NOT_SAMPLED: Rows = {}
"""Halves of intervals of sampling, where none is known."""


def bench_table(records: Sequence[Record]) -> list[Grid]:
    """Return one ranked table per (data set, protocol, budget), so that numbers of two protocols never share a column.

    Ranked by mean FID (2-D points: by OT divergence); what ties with the best is first, too. Runs that failed, diverged
    or were declined stand at the end.
    """
    return [ranked(group, records) for group in by_protocol(records).values()]


def primary(group: Iterable[Record]) -> str:
    """Return the metric that ranks a group: ``ot_divergence`` for 2-D points, ``fid`` for images."""
    return "ot_divergence" if any("ot_divergence" in r.metrics for r in group) else "fid"


def seeds(records: Iterable[Record], key: str) -> dict[int, float]:
    """Return seed -> value of a metric or cost, over the finished runs that have it."""
    found = {r.seed: r.value(key) for r in records if r.status == "done"}
    return {seed: value for seed, value in found.items() if value is not None}


def halves(records: Iterable[Record], key: str) -> dict[int, float]:
    """Return seed -> half the width of a metric's interval of sampling, over the finished runs that know it."""
    found = {r.seed: r.half(key) for r in records if r.status == "done"}
    return {seed: half for seed, half in found.items() if half is not None}


def floors(key: str, runs: Mapping[str, Iterable[Record]], data: Iterable[Record]) -> Rows | None:
    """Return name of a row -> seed -> what real data have in a quantity's place (``Quantity.floor``).

    ``runs``: name -> those of a row. ``data``: those of the data row. None for a quantity without a floor, or where the
    data row that has it was not run.
    """
    where, _, name = (QUANTITIES[key].floor or "").rpartition(".")
    if not where:
        return {row: seeds(runs[row], name) for row in runs} if name else None
    level = seeds(data, name).values()
    return {row: dict.fromkeys((r.seed for r in runs[row]), fmean(level)) for row in runs} if level else None


class Standing(NamedTuple):
    """How the rows of a quantity stand: those that tie with the best, and those past their floor."""

    best: frozenset[str] = frozenset()
    past: frozenset[str] = frozenset()


ALONE = Standing()
"""Of a row that is compared with none."""


def compared(
    key: str,
    values: Rows,
    runs: Runs,
    data: Iterable[Record],
    direction: str = "",
    drawn: Rows = NOT_SAMPLED,
) -> list[Comparison]:
    """Return how the ``values`` of rows, which were read from ``runs``, are compared; see ``floors`` for ``data``.

    Rows that repeat training images are compared among themselves, after the others. ``direction``: which is better, if
    not the quantity's own. ``drawn``: see ``Comparison`` for halves.
    """
    quantity, level = QUANTITIES[key], floors(key, runs, data)
    unfit, better = left_over(key, values, runs), direction or quantity.direction
    parts = ({name: values[name] for name in names if name in values} for names in blocks(runs))
    return [Comparison(part, better, quantity.text, level, unfit, drawn) for part in parts]


def standing(comparisons: Iterable[Comparison]) -> Standing:
    """Return how the rows of several comparisons stand, each in its own."""
    found = [*comparisons]
    return Standing(frozenset().union(*(of.best for of in found)), frozenset().union(*(of.past for of in found)))


def compared_in(key: str, runs: Runs, data: Iterable[Record]) -> list[Comparison]:
    """Return how rows are compared in a metric of their runs; see ``compared``."""
    values = {name: seeds(of, key) for name, of in runs.items()}
    return compared(key, values, runs, data, drawn={name: halves(of, key) for name, of in runs.items()})


def standing_of(key: str, runs: Runs, data: Iterable[Record]) -> Standing:
    """Return how rows stand in a metric of their runs."""
    return standing(compared_in(key, runs, data))


def blocks(runs: Runs) -> list[list[str]]:
    """Return the names of rows that are compared with one another: all others, and those that repeat training images.

    An empty block is left out.
    """
    copies = [name for name, of in runs.items() if any(run.copying for run in of)]
    return [names for names in ([name for name in runs if name not in copies], copies) if names]


def left_over(key: str, values: Rows, runs: Mapping[str, Iterable[Record]]) -> set[str]:
    """Return the rows whose ``values`` of a quantity are the mean of what is left of it in their ``runs``."""
    return {row for row, found in values.items() if found and lost(found, key, runs[row])}


def ranked_by(runs: Runs, key: str, data: Iterable[Record]) -> dict[str, int]:
    """Return method -> rank by a metric, in the order of the ranks; a method without the metric has none.

    Those that repeat training images come last, and are ranked among themselves.
    """
    return {name: rank for part in compared_in(key, runs, data) for name, rank in part.ranks.items()}


def measured(records: Sequence[Record], key: str, always: bool = True, row: str = "", among: Standing = ALONE) -> Cell:
    """Return the cell of one row's quantity over its seeds, ``–`` where no run has it; see ``summed_up``."""
    return summed_up(seeds(records, key), key, records, always, row, among, halves(records, key))


def summed_up(
    values: Mapping[int, float],
    key: str,
    records: Sequence[Record],
    always: bool = True,
    row: str = "",
    among: Standing = ALONE,
    drawn: Mapping[int, float] = MappingProxyType({}),
) -> Cell:
    """Return the cell of a quantity's values, seed -> value: mean and interval, ``–`` without a value.

    The interval is the wider of that over seeds and that of the sampling, where ``drawn`` has its halves by seed.

    ``records``: all runs of the row, however they ended; it rests on those of the same seeds that are done, and says
    of how many seeds it is where that is not all. ``row``: its name ``among`` those that it is compared with.
    """
    if not values:
        return Cell(NONE, {"": None, "half": None, "seeds": 0})
    interval = t_interval(list(values.values()))
    sampling = sampled({seed: drawn.get(seed) for seed in values})
    text = QUANTITIES[key].text(interval.mean) if key in COSTS else spread(QUANTITIES[key], interval, always, sampling)
    half = None if interval.half is None else significant(interval.half)
    data = {"": significant(interval.mean), "half": half, "seeds": interval.n}
    data |= {} if sampling is None else {"sampling": significant(sampling)}
    rests = tuple(r for r in records if r.status == "done" and r.seed in values)
    without = {} if key in COSTS else lost(values, key, records)  # costs rank nothing
    data |= {"asked": interval.n + len(without)} if without else {}
    beyond = (PAST._replace(name=f"{PAST.name} in {key}"),) if row in among.past else ()
    return Cell(text, data, row in among.best, "", rests, key, (*beyond, *survivors(values, without)))


def ranked(group: Sequence[Record], records: Sequence[Record] = ()) -> Grid:
    """Return the table of one group of ``by_protocol``; of ``records`` of both places it says which are which."""
    first = primary(group)
    main = [key for key, quantity in QUANTITIES.items() if quantity.group == "main" and key != first]
    grid = _grid(group, (first, *main, *COST), heading(group))
    return replace(grid, notes=(*not_published(group, records), *grid.notes))


def further(group: Sequence[Record]) -> Grid:
    """Return the remaining metrics and costs of one group."""
    more = [key for key, quantity in QUANTITIES.items() if quantity.group == "more"]
    return _grid(group, more, ("Further figures", ()))


def _grid(group: Sequence[Record], wanted: Sequence[str], head: tuple[str, tuple[str, ...]]) -> Grid:
    every = by_method(group)
    done = {method: every[method] for method in by_method(group, "done")}  # at one seed at least
    yardstick = done.pop(DATA, [])
    values = {key: {method: seeds(runs, key) for method, runs in done.items()} for key in wanted}
    keys = [k for k in wanted if k in (primary(group), *COST) or any(values[k].values()) or seeds(yardstick, k)]
    always = any(len(runs) > 1 for runs in done.values())
    ranking = ranked_by(done, primary(group), yardstick)
    stand = {key: standing_of(key, done, yardstick) for key in keys}
    copies = repeating(group)

    def row(place: int | None, method: str, runs: Sequence[Record], status: str = "done") -> tuple[Cell, ...]:
        names = {DATA: YARDSTICK, TRAINING: KNOWN}
        called = title(method, runs) if status == "done" else f"{method} ({status})"
        told: dict[str, str | bool | None] = {"": KNOWN if method == TRAINING else method, "status": status}
        told |= {} if copies is None else {"repeats": method in copies if method in done else None}
        label = Cell(names.get(method, called), told, rests=() if status == "done" else tuple(runs))
        costless = COSTS if method in names else ()  # nothing is trained for the yardsticks
        numbers = (measured([] if k in costless else runs, k, always, method, stand[k]) for k in keys)
        return (Cell(str(place or ""), {"": place}), label, *numbers)

    rows = [row(None, DATA, yardstick, "done" if yardstick else "not run")]
    if known := [found for run in yardstick if (found := run.yardstick(TRAINING))]:
        rows.append(row(None, TRAINING, known))
    above = len(rows)
    rows += [row(place, method, done[method]) for method, place in ranking.items()]
    first = next((above + i for i, method in enumerate(ranking) if method in (copies or ())), None)
    rows += [row(None, method, done[method]) for method in sorted(done.keys() - ranking)]
    ended = sorted((method, runs) for method, runs in every.items() if method not in {*done, DATA})
    rows += [row(None, method, runs, runs[0].status) for method, runs in ended]
    figures = (Column(key, QUANTITIES[key].head) for key in keys)
    columns = (Column("rank", "#"), Column("method", "method", right=False), *figures)
    absent = [key for key in wanted if key not in keys]
    told = tuple(notes(group, [*keys, *absent]))
    return Grid(head[0], columns, tuple(rows), head[1], told, TIES, parts={} if first is None else {first: COPYING})


def heading(group: Sequence[Record]) -> tuple[str, tuple[str, ...]]:
    """Return a group's title and the lines that say under which conditions its numbers were taken."""
    runs = trained(group)
    return f"{runs[0].dataset}, budget {runs[0].at}", (conditions(runs), protocol_line(group))


def conditions(runs: Sequence[Record]) -> str:
    """Return images per stage, width and seeds of ``runs``; where methods differ, the exceptions by name."""
    draws = _common("", {r.method: f"{r.images_budget:,} images a stage" for r in runs})
    codes = {r.method: f"{r.codes_budget:,} codes a latent sampler" for r in runs if r.codes_budget}
    codes |= {r.method: f"{r.sampler_steps:,} steps a latent sampler" for r in runs if r.sampler_steps}
    draws += _common(", ", codes) if codes else ""
    width = _common("width ", {r.method: f"{r.width:g}" for r in runs})
    return f"{draws}; {width}; {numbered({r.seed for r in runs})}"


def protocol_line(group: Sequence[Record]) -> str:
    """Return the protocol of a group in words."""
    p = next((r.protocol for r in group if r.protocol), None)
    if p is None:
        return "protocol: none, no run was scored"
    parts = [f"{p.n:,} samples against as many real ones of the {p.real} split"]
    if p.repeats > 1:
        parts[0] += f", the mean of {p.repeats:,} draws of both"
    if p.evaluator:
        sized = f", {p.resize}" if p.resize else ""
        parts.insert(0, f"evaluator {p.evaluator} (sha256 {(p.checksum or NONE)[:8]}{sized})")
        if p.reconstruction:
            rebuilt = "{images:,} held-out images reconstructed in {steps:,} code steps"
            parts.append(rebuilt.format(**p.reconstruction))
    if p.n < FEW:
        parts[-1] += f"; warning: of fewer than {FEW} samples every figure scatters, and FID is biased upwards"
    return f"protocol {p.id}: " + ", ".join(parts)


def notes(group: Sequence[Record], keys: Sequence[str]) -> list[str]:
    """Return why runs or values are missing, which samples collapsed, which settings were overridden, seeds lacking."""
    said: list[tuple[str, str]] = []  # (what, of whom)
    evaluators = {run.protocol.evaluator for run in group if run.protocol} - {None}
    keys = [key for key in keys if QUANTITIES[key].of in ("", "image" if evaluators else "points", *evaluators)]
    absent: list[tuple[tuple[str, str], str]] = []  # ((method, reason), label)
    for run in group:
        who = f"{run.method} seed {run.seed}"
        if run.status != "done":
            said.append((f"{run.status}: {run.reason}", who))
            continue
        expected = () if run.method == DATA else [key for key in keys if key not in COSTS]
        for key in (k for k in keys if run.value(k) is None and (k in run.reasons or (k in expected and k != COPIED))):
            reason = run.reasons.get(key, "not measured in this run")
            absent.append(((run.method, reason), QUANTITIES[key].label))
        if run.curves.loss and not any(run.curves.series(curve) for curve in ("fid", "fid_gaussian", "modes")):
            said.append(("FID was not followed over training: whether that was cut off is not known", run.method))
        if unsteady := run.facts.get(UNSTEADY):
            said.append((f"the same command again may give other numbers: {unsteady} has no deterministic form", who))
        if run.facts.get("collapsed"):
            said.append((COLLAPSED, who))
        if run.overrides:
            pairs = (f"{part}.{key}={value}" for part, given in run.overrides.items() for key, value in _items(given))
            said.append(("set by hand: " + ", ".join(pairs), run.method))
    said += [(f"no {', '.join(labels)}: {why}", method) for (method, why), labels in gathered(absent).items()]
    if evaluators and (unknown := _not_asked(group)):
        said.append(("whether it repeats training images was not measured, so that it is ranked as if not", unknown))
    every = {r.seed for r in trained(group) if r.method != DATA}
    for method, runs in by_method(r for r in group if not r.external).items():
        if method != DATA and runs[0].status != "declined" and (lacking := every - {r.seed for r in runs}):
            said.append(("not run at seed " + ", ".join(map(str, sorted(lacking))), method))
    lines = [f"{', '.join(names)}: {what}" for what, names in gathered(said).items()]
    if not any(r.method == DATA for r in group):
        lines.append(f"{YARDSTICK}: not run under this protocol")
    return lines


def _not_asked(group: Sequence[Record]) -> str:
    """Return which rows of a group may repeat training images without that it is known, in words; empty if none."""
    runs = {name: of for name, of in by_method(group, "done").items() if name != DATA}
    lacking = (
        runs if repeating(group) is None else {n for n, of in runs.items() if not any(COPIED in r.metrics for r in of)}
    )
    return "every row" if len(lacking) == len(runs) > 1 else ", ".join(sorted(lacking))


def _items(setting: object) -> Iterable[tuple[str, object]]:
    return setting.items() if isinstance(setting, dict) else [("", setting)]


def _common(label: str, values: dict[str, str]) -> str:
    """Return the most frequent value, and the methods that have another one."""
    counts = Counter(sorted(values.values()))
    usual = max(counts, key=lambda value: counts[value])
    others = [f"{value} for {method}" for method, value in sorted(values.items()) if value != usual]
    return f"{label}{usual}" + (f" ({', '.join(others)})" if others else "")
