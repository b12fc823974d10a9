"""What the figures of a table's rows are to be: committed intervals, made of many runs, that a run anew has to meet.

The rule: the runs of a row differ by their seeds and by the instructions of the processors that they ran on. The
logarithms of a figure, which must be positive, are taken as normal, and the interval is that in which a run at a
further seed lies with probability ``LEVEL``, on either set of instructions (``statistics.prediction``). Runs of one
seed on several sets count as one, since they start alike.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from latent_ot.config import Config
from latent_ot.errors import InputError, choose, nearest
from latent_ot.files import read_yaml, shown
from latent_ot.published import PublishedTable
from latent_ot.record import Ends, Record, checked, significant
from latent_ot.report.statistics import prediction

LEVEL = 0.999
"""Some dozen figures are compared: of runs that nothing is wrong with, one or two in a hundred have one outside."""


class Expected(Config):
    """Intervals of figures: label of a table's row -> name of a figure -> its lower and its upper end.

    A figure is a metric of a record or a number among its facts. ``protocol``: under which the runs were scored.
    ``level``: the share of runs at a further seed that lies inside. It was found from ``runs``, sets of instructions in
    words -> the seeds that ran on them, under ``versions``. ``where``: the file that it was read from.
    """

    table: str
    dataset: str
    budget: str
    protocol: str
    level: float = Field(gt=0, lt=1)
    runs: dict[str, list[int]] = Field(min_length=1)
    versions: dict[str, str] = {}
    rows: dict[str, dict[str, Ends]] = Field(min_length=1)
    where: str = Field(default="", exclude=True)

    @field_validator("rows")
    @classmethod
    def _ordered(cls, rows: dict[str, dict[str, Ends]]) -> dict[str, dict[str, Ends]]:
        for label, figures in rows.items():
            bad = next((f"{name} {ends}" for name, ends in figures.items() if not ends[0] <= ends[1]), None)
            if bad or not figures:
                raise ValueError(f"row '{label}': {bad or 'no figure'}; allowed: intervals, the lower end first")
        return rows

    @classmethod
    def load(cls, path: Path, table: PublishedTable, dataset: str | None = None, budget: str | None = None) -> Self:
        """Return what a file holds on a table, where they are given for that data set and budget.

        Raises:
            InputError: if it is no such file, or on other terms: one line with what is allowed.
        """
        held = {str(key): value for key, value in read_yaml(path).items()}
        found = cls.build({**held, "where": shown(path)}, where=shown(path))
        found._same("table", table.id, found.table)
        found._same("dataset", dataset, found.dataset)
        found._same("budget", budget, found.budget)
        for label in found.rows:
            choose(f"{found.where}: row", label, [row.label for row in table.rows if row.method])
        return found

    def refuse_others(self, dataset: str, protocols: Iterable[str]) -> None:
        """Refuse a data set or a protocol that is not the file's own.

        Raises:
            InputError: naming both.
        """
        self._same("dataset", dataset, self.dataset)
        for protocol in protocols:
            self._same("protocol", protocol, self.protocol)

    def _same(self, what: str, asked: str | None, own: str) -> None:
        if asked and asked != own:
            raise InputError(f"{what} '{asked}' against {self.where}; allowed: '{own}'{nearest(asked, [own])}")

    @property
    def made(self) -> str:
        """How the intervals were made, in words."""
        runs = f"{len(set().union(*self.runs.values()))} seeds on {len(self.runs)} sets of instructions"
        return f"the interval of {self.level:.1%} of runs at a further seed, by {runs}"

    def only(self, spec: PublishedTable) -> PublishedTable:
        """Return a table with those of its rows that are compared."""
        return spec.model_copy(update={"rows": tuple(row for row in spec.rows if row.label in self.rows)})

    def met(self, spec: PublishedTable, made: Iterable[Mapping[str, Any]], seeds: Sequence[int]) -> bool:
        """Return whether all figures of records are as expected, and say so on stderr, or which are not, one a line."""
        lines = list(self.outside(spec, [checked(record) for record in made], seeds))
        count = len(seeds) * sum(map(len, self.rows.values()))
        for line in lines or [f"every figure lies in its interval: {count} ({self.where})"]:
            print(line, file=sys.stderr)
        return not lines

    def outside(self, spec: PublishedTable, records: Sequence[Record], seeds: Sequence[int]) -> Iterator[str]:
        """Yield a line for each figure of each row and seed that is not in its interval, or that there is not."""
        runs = {
            label: {r.seed: r for r in of_row(spec, label, self.dataset, records) if self._under(r)}
            for label in self.rows
        }
        for label, figures in self.rows.items():
            for seed in seeds:
                run = runs[label].get(seed)
                for name, (low, high) in figures.items():
                    value = None if run is None else figure(run, name)
                    if value is None or not low <= value <= high:
                        said = "is missing" if value is None else f"= {value:.4g} is outside"
                        yield f"{label}, seed {seed}: {name} {said} [{low:.4g}, {high:.4g}], {self.made} ({self.where})"

    def _under(self, run: Record) -> bool:
        terms = run.status, run.budget, run.protocol and run.protocol.id
        return terms == ("done", self.budget, self.protocol)


def figure(run: Record, name: str) -> float | None:
    """Return a metric of a record, or a number among its facts; None if it has neither."""
    fact = run.facts.get(name)
    known = run.metrics.get(name, fact if isinstance(fact, int | float) and not isinstance(fact, bool) else None)
    return None if known is None else float(known)


def of_row(spec: PublishedTable, label: str, dataset: str, records: Sequence[Record]) -> list[Record]:
    """Return the runs of a row on a data set.

    Raises:
        InputError: if the table runs the row in more than one way there.
    """
    row = next(row for row in spec.rows if row.label == label)
    way, *others = [spec.asked(row, column) for column in spec.columns_for(dataset)]
    if any(other != way for other in others):
        raise InputError(f"{spec.id}: row '{label}' is run in several ways on {dataset}; allowed: in one")
    return [r for r in records if r.dataset == dataset and r.is_run_of(*way)]


def expect(
    spec: PublishedTable, rows: Mapping[str, Sequence[str]], by_instructions: Mapping[str, Sequence[Record]]
) -> Expected:
    """Return the intervals of a table's rows by the rule of this file.

    Args:
        spec: the table.
        rows: label of a row -> the names of its figures.
        by_instructions: a set of instructions, in words -> the records of its runs.

    Raises:
        InputError: if the runs are not of one data set, budget and protocol, on each set of instructions of the same
            seeds for every row, and of two seeds or more; or if a figure is missing or not positive.
    """
    every = [r for records in by_instructions.values() for r in records if r.protocol and r.status == "done"]
    terms = {(r.dataset, r.budget, r.protocol.id) for r in every if r.protocol}
    if len(terms) != 1:
        raise InputError(f"{spec.id}: runs of {len(terms)} data sets, budgets and protocols; allowed: of one of each")
    ((dataset, budget, protocol),) = terms
    done = {name: [r for r in records if r.status == "done"] for name, records in by_instructions.items()}
    of = {label: {name: of_row(spec, label, dataset, records) for name, records in done.items()} for label in rows}
    seeds = {label: {name: sorted(r.seed for r in runs) for name, runs in found.items()} for label, found in of.items()}
    first = next(iter(seeds.values()))
    if any(found != first for found in seeds.values()) or len(set().union(*first.values())) < 2:
        raise InputError(
            f"{spec.id}: rows have runs at the seeds {seeds}; allowed: two or more, the same for every row"
        )
    return Expected(
        table=spec.id,
        dataset=dataset,
        budget=budget,
        protocol=protocol,
        level=LEVEL,
        runs=first,
        versions=every[0].versions,
        rows={label: {name: _interval(of[label], name) for name in names} for label, names in rows.items()},
    )


def _interval(by_instructions: Mapping[str, Sequence[Record]], name: str) -> list[float]:
    by_seed: dict[int, list[float]] = {}
    for run in (run for runs in by_instructions.values() for run in runs):
        by_seed.setdefault(run.seed, []).append(_logarithm(run, name))
    return [significant(math.exp(end)) for end in prediction([*by_seed.values()], LEVEL)]


def _logarithm(run: Record, name: str) -> float:
    value = figure(run, name)
    if value is None or value <= 0:
        raise InputError(f"{run.stem}: figure '{name}' = {value}; allowed: one above 0 in every run")
    return math.log(value)
