"""Statements of the front page: a sentence with the records that it rests on, and the words that all of them use."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from latent_ot.record import Record
from latent_ot.report.groups import Group, Groups, by_method, by_protocol
from latent_ot.report.marks import DAGGER
from latent_ot.report.statistics import Interval
from latent_ot.report.text import MARKDOWN, Cell

NAMED = 8
"""Most names in one list of a sentence, which a reader still takes in; the others are counted."""
SHOWN = 3
"""Most records that a sentence links one by one; the page that it links has all of them."""


@dataclass(frozen=True)
class Statement:
    """A sentence and what it rests on: ``runs``, the most telling first, which the ``pages`` have all of."""

    sentence: str
    runs: tuple[Record, ...]
    pages: tuple[str, ...]

    @property
    def links(self) -> list[tuple[str, str]]:
        """What it links, from the folder of the leaderboards: (name, path) of the first records, then of the pages."""
        shown = self.runs[:SHOWN]
        found = [(f"{r.method} seed {r.seed}{aged([r])}", f"results/{quote(r.stem)}.json") for r in shown]
        more = f"{len(self.runs) - SHOWN} more on " if len(self.runs) > SHOWN else ""
        names = [page.removesuffix(".md") for page in self.pages]
        names[:1] = [more + name for name in names[:1]]
        return found + [(name, quote(page)) for name, page in zip(names, self.pages, strict=True)]

    @property
    def markdown(self) -> str:
        """The sentence with its links."""
        linked = ", ".join(f"[{name.translate(MARKDOWN)}]({path})" for name, path in self.links)
        return self.sentence.translate(MARKDOWN) + (f" ({linked})" if linked else "")


def scored(records: Sequence[Record]) -> dict[Group, Sequence[Record]]:
    """Return the groups of records that were scored."""
    return {key: group for key, group in by_protocol(records).items() if key.protocol}


def fullest_first(groups: Groups) -> list[Group]:
    """Return the groups with the most finished methods first, of equals the order that pages have."""
    return sorted(groups, key=lambda key: -len(by_method(groups[key], "done")))


def whereabouts(key: Group, groups: Iterable[Group]) -> str:
    """Return a group in words, with its protocol where others share all else."""
    alike = [other for other in groups if (other.dataset, other.at) == (key.dataset, key.at)]
    return f"{key.dataset} at {key.at}" + (f" under {key.protocol}" if len(alike) > 1 else "")


def nothing(text: str, records: Sequence[Record], *pages: str) -> Statement:
    """Return a sentence that says what is missing, with the pages where it would stand."""
    return Statement(text, (), pages or tuple(f"{name}.md" for name in sorted({run.dataset for run in records})))


def positive(run: Record, metric: str) -> bool:
    """Whether a run has a value that a ratio can be made of."""
    return run.status == "done" and (run.value(metric) or 0.0) > 0


def signed(name: str, runs: Iterable[Record], quantity: str) -> str:
    """Return a name with the signs that a cell of a quantity would bear."""
    return name + Cell("", rests=tuple(runs), quantity=quantity).signs


def aged(runs: Iterable[Record]) -> str:
    """Return the sign of what rests on an outdated record."""
    return DAGGER if any(run.outdated for run in runs) else ""


def of_seeds(count: int, of: int = 0) -> str:
    """Return a number of seeds in words, of how many if it is not all."""
    every = max(count, of)
    return (f"{count} of {every}" if every > count else f"{count}") + f" seed{'s' if every > 1 else ''}"


def some(parts: Sequence[str], most: int = NAMED) -> str:
    """Return a list in words, of which no more than ``most`` are named."""
    rest = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *rest])


def times(by: Interval) -> str:
    """Return a gain as a factor, ``÷2.0`` for half and ``×2.0`` for twice, with its interval if it has one."""
    sign, way = ("÷", 1) if by.mean >= 0 else ("×", -1)
    low, high = sorted((way * by.low, way * by.high))
    return f"{sign}{_factor(way * by.mean)}" + (f" ({_factor(low)} to {_factor(high)})" if by.half is not None else "")


def _factor(logarithm: float) -> str:
    """Return a factor with two significant digits or so; past a thousand either way, that it is."""
    if abs(logarithm) > math.log(1000):
        return "over 1,000" if logarithm > 0 else "under 0.001"
    digits = 2 if logarithm < 0 else 1 if logarithm < math.log(10) else 0
    return f"{math.exp(logarithm):.{digits}f}"
