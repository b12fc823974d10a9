"""What the papers state beside what was found: at which scale their orders hold, and which numbers are far off."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from latent_ot.claims import Claim, claims
from latent_ot.published import PublishedRow, load_table, stands_for
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.beside import Beside, places
from latent_ot.report.groups import Group, Groups, trained, unique
from latent_ot.report.ranking import primary
from latent_ot.report.statements import Statement, aged, nothing, of_seeds, positive, scored, some, times, whereabouts
from latent_ot.report.statistics import Interval
from latent_ot.report.tables import shown_for
from latent_ot.report.verdicts import SEEDS, Judged, Verdict, judge, smaller

WAYS: dict[Verdict, str] = {
    "reproduced": "holds",
    "agrees at small scale": "holds",
    "not reproduced": "is reversed",
    "disagrees at small scale": "is reversed",
    "inconclusive": "is undecided",
}
"""A verdict on an order whose rows were run -> what became of it."""
DECIDED = ("holds", "is reversed")
ORDERS = 4
"""Most orders in one list, since each is a statement of its own; the others are counted."""
COLUMN = 3
"""Rows that a published column asks for: of two that lie apart, nothing says which one is out of place."""
FAR = 2.0
"""Factor from which on ours is said to differ from the published: numbers of several protocols often do by less."""


def orders_in(group: Sequence[Record], key: Group) -> list[Judged]:
    """Return the claims that put a row before another, judged on one group alone, where all their rows were run.

    ``judge`` takes the best evidence of all; given a group, it says what holds at that scale. Claims whose rows differ
    in data set or length are of no single scale, and are left out.
    """
    told = []
    for claim in claims():
        rows = [row for contrast in claim.rule.rows for row in contrast]
        here = tuple(p for p in claim.datasets if p.dataset in (key.dataset, stands_for(key.dataset)))
        if claim.rule.side and here and not any(row.dataset or row.budget for row in rows):
            told.append(judge(claim.model_copy(update={"datasets": here}), group))
    return [judged for judged in told if judged.verdict != "not run"]


def orders(records: Sequence[Record]) -> list[Statement]:
    """Say of every group which published orders hold, are reversed or undecided, and of which the scale decides.

    The verdicts are those of the claims. Groups with the most decided orders come first; an order that holds in one
    group and is reversed in another has a sentence before them all.
    """
    groups = scored(records)
    told = {key: orders_in(group, key) for key, group in groups.items()}
    ways: dict[str, dict[str, list[Group]]] = {}
    for key, judged in told.items():
        for order in judged:
            ways.setdefault(order.claim.id, {}).setdefault(WAYS[order.verdict], []).append(key)
    found = [
        _turned(claim, ways[claim.id], told, groups)
        for claim in claims()
        if all(way in ways.get(claim.id, ()) for way in DECIDED)
    ]
    most = sorted(groups, key=lambda key: -sum(WAYS[order.verdict] in DECIDED for order in told[key]))
    found += [_orders(told[key], whereabouts(key, groups), groups[key]) for key in most if told[key]]
    return found or [nothing("No published order has all its rows in one group yet.", records, "claims.md")]


def _turned(
    claim: Claim, ways: Mapping[str, Sequence[Group]], told: Mapping[Group, Sequence[Judged]], groups: Groups
) -> Statement:
    """Return where an order holds and where it is reversed."""
    said = [f"{way} on {some([whereabouts(key, groups) for key in ways[way]])}" for way in DECIDED]
    judged = [order for of in ways.values() for key in of for order in told[key] if order.claim.id == claim.id]
    return Statement(f"{_named(claim, _runs(judged))} {' and '.join(said)}.", tuple(_runs(judged)), ("claims.md",))


def _orders(judged: Sequence[Judged], where: str, group: Sequence[Record]) -> Statement:
    """Return what became of the orders in one group."""
    small = any(finding.smaller for order in judged for finding in order.findings)
    scale = "less than the papers' scale" if small else "the papers' own scale"
    drawn = sorted({run.images_budget for run in trained(group)})
    images = " to ".join(f"{count:,}" for count in dict.fromkeys((drawn[0], drawn[-1])))
    what = "images" if primary(group) == "fid" else "points"
    said, runs = [], list[Record]()
    for way, head in (("is reversed", "reversed"), ("holds", "hold")):
        here = [order for order in judged if WAYS[order.verdict] == way]
        listed = some([_named(order.claim, _runs([order])) for order in here], ORDERS)
        said.append(f"{head}: {len(here) or 'none'}" + (f", {listed}" if here else ""))
        runs += _runs(here)
    undecided = [order for order in judged if WAYS[order.verdict] == "is undecided"]
    few = sum(any(f.effect is None or f.effect.n < SEEDS for f in order.findings) for order in undecided)
    less = f", {few} of them at fewer than {SEEDS} seeds" if few else ""
    said.append(f"undecided: {len(undecided) or 'none'}{less}")
    text = f"On {where}, {images} {what} a stage, {scale}, of {len(judged)} orders: {'; '.join(said)}."
    return Statement(text, tuple(unique([*runs, *_runs(undecided)])), ("claims.md",))


def _named(claim: Claim, runs: Sequence[Record]) -> str:
    """Return an order in words, with what the paper's own numbers say where they do not agree."""
    own = "" if claim.paper_holds is not False else ", which the paper's own numbers do not bear out"
    return f"“{claim.statement}” ({claim.id}{aged(runs)}{own})"


def _runs(judged: Iterable[Judged]) -> list[Record]:
    """Return the records that verdicts rest on."""
    return unique(run for order in judged for finding in order.findings for run in finding.runs)


class Apart(NamedTuple):
    """A published number beside ours; ``by``: the logarithm of ours over it, less its column's median ``middle``.

    ``rows``: of how many the median is; 0 where none was taken. ``shown``: ours as tables print it.
    """

    place: Beside
    row: PublishedRow
    by: float
    middle: float
    rows: int
    shown: str
    runs: tuple[Record, ...]

    @property
    def images(self) -> int:
        """The length of our training."""
        return max(run.images_budget for run in self.runs)


def apart(place: Beside) -> list[Apart]:
    """Return how far ours are from the numbers of a published column, in the order of its rows.

    No paper's protocol is ours, and another evaluator changes a figure by a factor that all rows of a column share. So
    rows are compared by what is left of ours over published once the column's median is taken out, which asks for
    ``COLUMN`` rows. Points are scored without an evaluator: there the ratio itself is told. Only quantities of which
    less is better are asked, since 0 is their best and ratios mean the same everywhere. Left out are the data row, runs
    whose samples have collapsed or repeat training images, and means over the seeds that are left.
    """
    metric, ratios = place.column.metric, dict[str, float]()
    if place.column.curve or place.column.direction != "down":
        return []
    for row in place.spec.rows:
        number, runs = row.values.get(place.column.key), place.of(row)
        sound = [positive(r, metric) and not (r.facts.get("collapsed") or r.copying) for r in runs]
        if row.method != DATA and number and number.value > 0 and runs and all(sound):
            ratios[row.label] = math.log(fmean(place.values(row).values()) / number.value)
    evaluated = any(run.protocol and run.protocol.evaluator for run in place.runs)
    if not ratios or (evaluated and len(ratios) < COLUMN):
        return []
    middle = median(ratios.values()) if evaluated else 0.0
    cells = zip(place.spec.rows, place.cells(), strict=True)
    return [
        Apart(
            place, row, ratios[row.label] - middle, middle, len(ratios) * evaluated, cell.text + cell.signs, cell.rests
        )
        for row, cell in cells
        if row.label in ratios
    ]


def published(records: Sequence[Record]) -> list[Statement]:
    """Say which published numbers ours are furthest from, and how many there are within a factor of ``FAR``.

    Of a number that several trainings stand beside the longest counts, and of runs that stand beside several numbers
    the one that they are furthest from.
    """
    longest: dict[tuple[str, str, str], Apart] = {}
    for dataset, budget in dict.fromkeys((run.dataset, run.budget) for run in records):
        for table in shown_for(dataset):
            for found in (a for place in places(load_table(table), dataset, budget, records) for a in apart(place)):
                number = table, found.place.column.key, found.row.label
                if number not in longest or found.images > longest[number].images:
                    longest[number] = found
    once: dict[tuple[str, ...], Apart] = {}
    for found in sorted(longest.values(), key=lambda a: (-abs(a.by), a.place.spec.id, a.place.column.key, a.row.label)):
        once.setdefault((found.place.column.metric, *sorted(run.stem for run in found.runs)), found)
    far = [found for found in once.values() if abs(found.by) >= math.log(FAR)]
    near = [*once.values()][len(far) :]
    told = [_apart(found) for found in far]
    if near:
        start = f"{len(near)} more" if far else f"All {len(near)}"
        text = f"{start} numbers that can be compared lie within a factor of {FAR:g}; the furthest: {_beside(near[0])}."
        runs, pages = unique(r for a in near for r in a.runs), dict.fromkeys(f"{a.place.dataset}.md" for a in near)
        told.append(Statement(text, tuple(runs), tuple(pages)))
    return told or [nothing("Too few rows of a published table were run to compare.", records)]


def _apart(found: Apart) -> Statement:
    return Statement(f"{_beside(found)}.", found.runs, (f"{found.place.dataset}.md",))


def _beside(found: Apart) -> str:
    """Return a number beside ours in words."""
    place, column = found.place, found.place.column
    less = smaller(found.runs[0], column.dataset, place.spec.paper)
    printed = f"{QUANTITIES[column.metric].label} {column.text(found.row.values[column.key])} in {place.spec.id}"
    at = f"{place.dataset} at {found.runs[0].at}, {of_seeds(len(found.runs))}"
    at += ", less than the paper's scale" if less else ""
    text = f"{found.row.label} on {column.label}, {printed}, has {found.shown} here ({at}): "
    text += _ratio(found.by + found.middle)
    if not found.rows:
        return text
    return f"{text} where the median of {found.rows} rows is {_ratio(found.middle)}, {_ratio(found.by)} beside it"


def _ratio(logarithm: float) -> str:
    """Return ours over published as a factor, ÷ where ours is the lower."""
    return times(Interval(-logarithm, None, 1))
