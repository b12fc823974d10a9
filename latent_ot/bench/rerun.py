"""Run what a published table lacks: each row that the suite has, with the table's own settings, at every seed."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.plan import RunPlan
from latent_ot.bench.request import Request
from latent_ot.bench.tracking import Tracking
from latent_ot.budgets import settings
from latent_ot.datasets.base import load
from latent_ot.errors import InputError, choose
from latent_ot.published import PublishedColumn, PublishedTable, Settings, stand_ins
from latent_ot.record import DATA

Job = tuple[str, Settings]
"""A method, and the settings that a row and its column ask of it."""


class Rows(Benchmark):
    """A benchmark whose methods come with settings of their own, such as the rows of a published table."""

    def __init__(self, request: Request, jobs: Sequence[Job], tracking: Tracking | None = None) -> None:
        super().__init__(replace(request, methods=[method for method, _ in jobs]), tracking)
        # What is so anyway, on these data and under this name, is left out: that run goes by the method's bare name.
        bare = [(method, self._planner(settings).changed(method)) for method, settings in jobs]
        self.jobs = [job for i, job in enumerate(bare) if job not in bare[:i]]

    def refused(self, job: Job) -> str | None:
        """Return why a job cannot be planned, such as a setting that the method lacks; None if it can."""
        method, settings = job
        planner = self._planner(settings)
        try:
            planner.check_overrides([method])
            for seed, one in itertools.product(self.request.seeds, self.each(planner)):
                self.planned(method, seed, one)
        except InputError as error:
            return str(error)
        return None

    def plan(self) -> list[RunPlan]:
        """Return the data row and every job at every seed."""
        jobs = [(method, self.each(self._planner(settings))) for method, settings in self.jobs]
        runs = itertools.product(self.request.seeds, jobs)
        return [*self.data_rows(), *(one.run(method, seed) for seed, (method, each) in runs for one in each)]

    def command(self, plan: RunPlan, **changes: Any) -> str:
        """Return the command of one run, which has its own settings."""
        return super().command(plan, overrides=plan.overrides, **changes)


def rerun(
    spec: PublishedTable,
    request: Request,
    say: Callable[[str], None],
    ended: Callable[[Mapping[str, Any]], None] = lambda record: None,
    tracking: Tracking | None = None,
) -> tuple[dict[str, str], bool]:
    """Run the rows of a table on the data set that was asked for, or on all of its data sets that are here.

    Args:
        spec: the table.
        request: how; an empty ``dataset`` asks for each column's own or else the first that stands for it.
        say: hears in one line each what is not run, and why.
        ended: hears the record of each run.
        tracking: dashboards that are told, if any.

    Returns:
        Published data set -> the one of ours that was run in its place, and whether the user stopped the benchmark.

    Raises:
        InputError: if the data set that was asked for cannot be loaded.
    """
    choose("budget", request.budget, settings()["budgets"])
    asked = request.dataset
    columns = spec.columns_for(asked) if asked else spec.columns
    rows = [row for row in spec.rows if row.method not in (None, DATA)]
    ran: dict[str, str] = {}
    for group in [[c for c in columns if asked or c.dataset == name] for name in _datasets(columns, asked)]:
        asked_for = (spec.asked(row, column) for row in rows for column in group)
        jobs = [(method, given) for method, given in asked_for if method]
        if not jobs:
            continue
        try:
            there = replace(request, dataset=asked or _first_here(group[0].dataset, request))
            benchmark = Rows(there, jobs, tracking)
            _ = benchmark.protocols  # an evaluator's weights may be missing
        except InputError as error:
            if asked:
                raise
            say(f"not run: {error}")
            continue
        for job, why in [(job, benchmark.refused(job)) for job in benchmark.jobs]:
            if why:
                say(f"not run: {why}")
                benchmark.jobs.remove(job)
        if benchmark.jobs:
            records, stopped = benchmark.execute()
            for record in records:
                ended(record)
            ran |= dict.fromkeys(_datasets(group), benchmark.dataset.id)
            if stopped:
                return ran, True
    return ran, False


def _datasets(columns: Sequence[PublishedColumn], asked: str = "") -> list[str]:
    """Return the published data sets of columns; one that was asked for stands for them all."""
    return list(dict.fromkeys(asked or column.dataset for column in columns))


def _first_here(published: str, request: Request) -> str:
    """Return the first data set that may stand beside ``published`` and can be loaded.

    Raises:
        InputError: if none can, with what the first one lacks.
    """
    lacking = []
    for name in stand_ins()[published]:
        try:
            load(name, request.data_dir, request.subset)
            return name
        except InputError as error:
            lacking.append(error)
    raise lacking[0]
