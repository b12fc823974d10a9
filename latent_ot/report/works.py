"""Does every method work? Whether its samples are things of nearly every kind that the data have, at its longest run.

That is asked where it can be answered: of images whose classes a classifier knows and is sure of in real ones, and of
points of a known mixture. It asks far less than a good FID, and what fails it is not worth comparing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from latent_ot.budgets import budget, length, settings
from latent_ot.catalog import suite
from latent_ot.quantities import NONE, QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.groups import Groups, by_method, numbered
from latent_ot.report.marks import COLLAPSED, cut_off
from latent_ot.report.ranking import COST, measured, protocol_line, seeds
from latent_ot.report.text import Cell, Column, Grid

Links = Callable[[Record], Mapping[str, str]]
"""A record -> kind of picture -> where it lies."""


class Criterion(NamedTuple):
    """What is asked: of ``things`` a ``share`` of those that real data show, and of ``quality`` at least so much."""

    things: str
    share: float
    quality: str
    least: float
    words: str


TESTS = (
    Criterion(
        *("classes", 0.9, "confidence", 0.8),
        "at least nine tenths of the data's classes have 3 % of its samples each, and the classifier's mean confidence "
        "in them is at least 0.8",
    ),
    Criterion(
        *("modes", 0.8, "high_quality", 0.5),
        "its points cover at least four fifths of the mixture's modes, and at least half of them lie on one",
    ),
)


class Asked(NamedTuple):
    """The test that a data row allows, and how many of its things it asks for."""

    test: Criterion
    things: float

    def passed(self, run: Record) -> bool | None:
        """Return whether a run's samples pass; None if that was not measured."""
        shown, quality = run.value(self.test.things), run.value(self.test.quality)
        return None if shown is None or quality is None else shown >= self.things and quality >= self.test.least

    def lacks(self, runs: Sequence[Record]) -> list[str]:
        """Return in words what the samples of runs lack, each thing once, from the least of their figures on."""
        found = [f"{run.status} at seed {run.seed}: {run.reason}" for run in runs if run.status != "done"]
        done = [run for run in runs if run.status == "done"]
        for key, least in ((self.test.things, self.things), (self.test.quality, self.test.least)):
            text, short = QUANTITIES[key].text, sorted(v for run in done if (v := run.value(key) or 0.0) < least)
            ends = " to ".join(dict.fromkeys(text(value) for value in (*short[:1], *short[-1:])))
            found += [f"{QUANTITIES[key].label} {ends}, asked {text(least)}"] if short else []
        return found + ([COLLAPSED] if any(run.facts.get("collapsed") for run in done) else [])


def asked_of(data: Sequence[Record]) -> Asked | None:
    """Return what a data row's runs allow to ask; None if real data themselves do not pass."""
    for test in TESTS:
        things, quality = seeds(data, test.things), seeds(data, test.quality)
        if things and quality and min(quality.values()) >= test.least and max(things.values()) > 1:
            return Asked(test, test.share * max(things.values()))
    return None


def works_grids(groups: Groups, links: Links) -> list[Grid]:
    """Return a table for each (data set, protocol) of which it can be asked which methods work."""
    places: dict[tuple[str, str], list[Record]] = {}
    for key, group in groups.items():
        places.setdefault((key.dataset, key.protocol), []).extend(group)
    return [grid for runs in places.values() if (grid := _grid(runs, links))]


def tally(grid: Grid) -> str:
    """Return in words how many methods of a table work."""
    return f"{sum(row[1].text == 'yes' for row in grid.rows)} of {len(grid.rows)} work on {grid.title}"


def _grid(runs: Sequence[Record], links: Links) -> Grid | None:
    """Return the table of one data set and protocol. Pairs without a name of their own stand in the grid of pairs."""
    asked = asked_of([run for run in runs if run.method == DATA])
    if asked is None:
        return None
    named = [run for run in runs if run.method != DATA and "+" not in run.method and not run.external]
    known = [run for run in named if asked.passed(run) is not None]
    known += [run for run in named if run.status in ("diverged", "failed")]  # which shows nothing of the data
    costs = tuple(Column(key, QUANTITIES[key].label) for key in COST)
    shown = tuple(Column(key, QUANTITIES[key].head) for key in (asked.test.things, asked.test.quality))
    columns = (
        *(Column(name, name, right=False) for name in ("method", "works", "budget")),
        *shown,
        *costs,
        *(Column(name, name, right=False) for name in ("what it lacks", "works at", "samples", "command")),
    )
    rows = tuple(_row(method, every, asked, links) for method, every in sorted(by_method(known).items()))
    missing = sorted(_names() - {run.method.partition("[")[0] for run in known})
    notes = (f"not run, or not since this is measured: {', '.join(missing)}",) if shown[0].key == "classes" else ()
    header = (protocol_line(runs), f"A method works if {asked.test.words}.")
    return Grid(runs[0].dataset, columns, rows, header, notes if missing else ()) if rows else None


def _names() -> set[str]:
    """Return the names that can be run on images."""
    catalog = suite()
    return {n for n in catalog.method_names() if "points" not in (n, catalog.pairs.get(n, {}).get("representation"))}


def _row(method: str, every: Sequence[Record], asked: Asked, links: Links) -> tuple[Cell, ...]:
    """Return the row of a method: its longest training, at all its seeds, those that are not outdated if there are."""
    every = [run for run in every if not run.outdated] or every
    budgets: dict[str, list[Record]] = {}
    for run in sorted(every, key=lambda run: (run.images_budget, run.budget, run.seed)):
        budgets.setdefault(run.at, []).append(run)
    passed = {at: [bool(asked.passed(run)) for run in runs] for at, runs in budgets.items()}
    at, longest = list(budgets.items())[-1]
    works = "yes" if all(passed[at]) else "no"
    if any(passed[at]) and works == "no":
        works = f"at {sum(passed[at])} of {len(longest)} seeds"
    pictured = next((found for run in longest if (found := links(run))), {})
    picture = next((pictured[kind] for kind in ("samples", "points") if kind in pictured), None)
    first = min(longest, key=lambda run: run.seed)
    return (
        Cell(method, {"": method}, rests=tuple(longest)),
        Cell.of(works),
        Cell(f"{at}, {numbered(run.seed for run in longest)}", {"": at}),
        *(measured(longest, key, always=len(longest) > 1) for key in (asked.test.things, asked.test.quality, *COST)),
        Cell.of("; ".join(_lacks(longest, asked)) or NONE),
        Cell.of(", ".join(name for name, found in passed.items() if all(found)) or NONE),
        Cell.of(f"[samples]({picture})" if picture else ""),
        Cell.of(f"`{first.command}`" if first.command else NONE),
    )


def _lacks(longest: Sequence[Record], asked: Asked) -> list[str]:
    """Return in words what a method's samples lack, and what more of its training there would be."""
    failed = [run for run in longest if not asked.passed(run)]
    if not failed:
        return []
    return [*asked.lacks(failed), *_further(failed[0])]


def _further(run: Record) -> list[str]:
    """Return in words how much longer the paper's own training is, and whether FID was still falling."""
    paper = length(run.paper) if run.paper and run.paper in settings()["lengths"] else "paper"
    kind, count = ("image" if run.protocol and run.protocol.evaluator else "points"), run.data.get("train")
    said = ["FID was still falling"] if cut_off(run) and not run.facts.get("collapsed") else []
    if isinstance(count, int) and run.generator_updates is not None:  # what is solved at once needs no longer training
        share = run.images_budget / budget(paper, run.dataset, count, kind).images
        said += [f"its images are {share:.2g} of those of the budget {paper}"] if share < 1 else []
    return said
