"""The papers' claims, judged by rule over the records: reproduced, not reproduced, inconclusive, or not run.

A claim names pairs of methods, one metric and several data sets. Both methods are compared seed by seed under one
protocol and budget: a 95 % t-interval of the difference that lies on the claimed side reproduces the claim, one on the
other side does not, and one that contains the boundary is inconclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Self

import yaml
from pydantic import model_validator

from latent_ot.bench.budgets import benchmarks
from latent_ot.config import Config
from latent_ot.report.published import stand_ins, stands_for, suite_methods
from latent_ot.report.quantities import QUANTITIES
from latent_ot.report.ranking import by_method, seeds
from latent_ot.report.records import Record, by_protocol, select
from latent_ot.report.statistics import Interval, paired_difference

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
WORST_FIRST: tuple[Verdict, ...] = ("not reproduced", "inconclusive", "not run", "reproduced")
SEEDS = 3
"""Seeds that a verdict should rest on; two give an interval already, and one gives none."""


class Close(Config):
    """``a`` and ``b`` differ by at most ``within``."""

    a: str
    b: str
    within: float


class Every(Config):
    """Each of ``a`` is better than each of ``b``."""

    a: list[str]
    b: list[str]


class Claim(Config):
    """One statement. Exactly one of ``better`` (first over second), ``better_all`` and ``close`` is given.

    ``paper_holds``: whether the paper's own numbers satisfy it. ``note``: what to know about it.
    """

    id: str
    paper: str
    source: str
    metric: str
    datasets: list[str]
    better: tuple[str, str] | None = None
    better_all: Every | None = None
    close: Close | None = None
    paper_holds: bool
    note: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(form is not None for form in (self.better, self.better_all, self.close)) != 1:
            raise ValueError("a claim has exactly one of better, better_all, close")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of methods that are compared."""
        if self.better_all:
            return [(a, b) for a in self.better_all.a for b in self.better_all.b]
        assert self.better or self.close
        return [self.better] if self.better else [(self.close.a, self.close.b)]  # type: ignore[union-attr]

    @property
    def statement(self) -> str:
        """The claim in words."""
        label = QUANTITIES[self.metric].label
        if self.close:
            return f"{label} of {self.close.a} and {self.close.b} differ by at most {self.close.within:g}"
        a, b = (self.better_all.a, self.better_all.b) if self.better_all else ([p] for p in self.better or ())
        return f"{', '.join(a)} better than {', '.join(b)} in {label}"


@dataclass(frozen=True)
class Finding:
    """The verdict on one pair of methods for one published data set, and what it rests on (or ``needs``)."""

    a: str
    b: str
    published: str
    verdict: Verdict
    dataset: str | None = None
    budget: str | None = None
    protocol: str | None = None
    difference: Interval | None = None
    records: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A claim with its findings; its verdict is the worst of theirs: ``reproduced`` means wherever it is claimed."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of: not reproduced, inconclusive, not run, reproduced."""
        return worst(self.findings)

    def rests_on(self) -> dict[tuple[str, str], list[str]]:
        """Return (published data set, protocol) -> the records that its verdict rests on."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for f in self.findings:
            if f.protocol:
                found.setdefault((f.published, f.protocol), {}).update(dict.fromkeys(f.records))
        return {place: list(stems) for place, stems in found.items()}


@cache
def claims() -> tuple[Claim, ...]:
    """Return every claim of ``benchmarks/claims``."""
    files = sorted((benchmarks() / "claims").glob("*.yaml"))
    return tuple(Claim.build(row, where=f.name) for f in files for row in yaml.safe_load(f.read_text(encoding="utf-8")))


def judge(claim: Claim, records: Sequence[Record]) -> Judged:
    """Judge one claim on every published data set that it names."""
    return Judged(claim, tuple(_find(claim, a, b, d, records) for d in claim.datasets for a, b in claim.pairs))


def _find(claim: Claim, a: str, b: str, published: str, records: Sequence[Record]) -> Finding:
    """Judge one pair of methods on the best evidence for one published data set.

    Evidence with an interval comes first, then the data set itself before a stand-in, then larger budgets; the choice
    never looks at the values.
    """
    own = stand_ins().get(published, [published])
    candidates = []
    for (dataset, protocol, budget), group in by_protocol(records).items():
        if dataset != published and stands_for(dataset) != published:
            continue
        runs = by_method(group, "done")
        left, right = (seeds(runs.get(method, []), claim.metric) for method in (a, b))
        difference = paired_difference(left, right)
        if difference:
            place = own.index(dataset) if dataset in own else len(own)
            shared = sorted(left.keys() & right.keys())
            stems = tuple(r.stem for m in (a, b) for r in runs[m] if r.seed in shared)
            rank = (difference.half is None, place, -group[0].images_budget, budget, protocol)
            evidence = Finding(
                a, b, published, _verdict(claim, difference), dataset, budget, protocol, difference, stems
            )
            candidates.append((rank, evidence))
    if not candidates:
        return Finding(a, b, published, "not run", needs=_needs(a, b, claim.metric, own, records))
    found = min(candidates, key=lambda c: c[0])[1]
    n = found.difference.n if found.difference else 0
    needs = [f"{SEEDS} seeds instead of {n}"] if n < SEEDS else []
    for r in select(records, dataset=found.dataset, budget=found.budget):
        if r.method in (a, b) and r.status != "done":
            needs.append(f"{r.method} at seed {r.seed} ({r.status}: {r.reason})")
    return replace(found, needs=tuple(needs))


def _verdict(claim: Claim, difference: Interval) -> Verdict:
    if difference.half is None:
        return "inconclusive"
    low, high = difference.low, difference.high
    if claim.close:
        bound = claim.close.within
        if -bound <= low and high <= bound:
            return "reproduced"
        return "not reproduced" if low > bound or high < -bound else "inconclusive"
    if QUANTITIES[claim.metric].direction == "up":
        low, high = -high, -low
    return "reproduced" if high < 0 else "not reproduced" if low > 0 else "inconclusive"


def _needs(a: str, b: str, metric: str, own: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    """Return what is missing for a comparison of two methods that share no seed, budget and protocol."""
    needs = []
    for method in (a, b):
        runs = [r for r in records if r.method == method and r.dataset in own]
        if method not in suite_methods():
            needs.append(f"{method} (not in the suite yet)")
        elif not any(r.status == "done" and r.value(metric) is not None for r in runs):
            why = [f" ({r.reason or r.reasons.get(metric, 'not measured')})" for r in runs[:1]]
            needs.append(method + "".join(why))
    return tuple(needs) or (f"{a} and {b} at one seed, budget and protocol",)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the first of: not reproduced, inconclusive, not run, reproduced, that a finding has."""
    return min((f.verdict for f in findings), key=WORST_FIRST.index)
