"""The papers' claims, judged by rule over the records: reproduced, not reproduced, inconclusive, or not run.

A claim is a statement with a rule of ``report/rules.py`` and the data sets that it is made for. Rows are compared seed
by seed under one protocol and budget: a 95 % t-interval of the effect that lies on the claimed side reproduces the
claim, one on the other side does not, and one that contains the boundary is inconclusive. Statements about numbers, not
runs, rest on a check of the suite's own code (``benchmarks/claims/checks.py``), by the same rule over its seeds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Self

import yaml
from pydantic import SerializeAsAny, model_validator

from latent_ot.budgets import benchmarks
from latent_ot.config import Config
from latent_ot.datasets.base import names as suite_datasets
from latent_ot.errors import choose
from latent_ot.published import load_table, stand_ins, stands_for
from latent_ot.quantities import QUANTITIES, Quantity
from latent_ot.record import DATA, Record
from latent_ot.report.contrasts import Contrast, Direction, Figure, Region, Row, Verdict, read
from latent_ot.report.groups import Group, by_protocol, unique
from latent_ot.report.rules import RULES, Check, Rule
from latent_ot.report.statistics import Interval, t_interval

WORST_FIRST: tuple[Verdict, ...] = ("not reproduced", "inconclusive", "not run", "reproduced")
PAPERS = ("gldo", "aeotgan", "otgen", "iwgan", "sdkl")
SEEDS = 3
"""Seeds that a verdict should rest on; two give an interval already, and one gives none."""
PUBLISHED_LENGTH = "paper"
"""The budget that a claim asks for where nothing was run yet."""

Groups = Mapping[Group, Sequence[Record]]


class Place(Config):
    """A published data set, as a claim names it: by its id, or as ``table/column`` for rows with that table's settings.

    ``name``: the id, or the column's label where a table has several of one data set and metric.
    """

    dataset: str
    name: str
    table: str | None = None
    column: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: str) -> dict[str, str]:
        table, slash, key = given.partition("/")
        if not slash:
            return {"dataset": given, "name": given}
        columns = load_table(table).columns
        column = next(c for c in columns if c.key == choose(f"column of {table}", key, [c.key for c in columns]))
        alike = [c for c in columns if (c.dataset, c.metric) == (column.dataset, column.metric)]
        name = column.label if len(alike) > 1 else column.dataset
        return {"dataset": column.dataset, "name": name, "table": table, "column": key}

    def row(self, label: str) -> Row:
        """Read a row; in a table's column it has the settings that it is run with there."""
        row = Row.parse(label)
        if self.table is None:
            return row
        spec = load_table(self.table)
        column = next(c for c in spec.columns if c.key == self.column)
        return row.having(next((spec.settings(r, column) for r in spec.rows if r.method == row.method), {}))

    def holds(self, dataset: str) -> bool:
        """Whether results on ``dataset`` bear on the claim."""
        return self.dataset in (dataset, stands_for(dataset))


class Claim(Config):
    """One statement with its rule, which the file gives under the rule's name (a key of ``RULES``).

    ``metric``: what the rule reads (see ``contrasts.read``); ``direction``: the claimed way, where tables say none.
    ``evaluator``: "own" asks for the classifier of the data set's own domain. ``paper_holds``: whether the paper's own
    numbers satisfy the claim, "na" where it prints none. ``note``: what to know about it.
    """

    id: str
    paper: str
    source: str
    statement: str
    datasets: tuple[Place, ...]
    rule: SerializeAsAny[Rule]
    metric: str = ""
    direction: Direction | None = None
    evaluator: Literal["own", "inception"] | None = None
    paper_holds: bool | Literal["partial", "na"]
    note: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_rule(cls, given: Any) -> Any:
        kinds = [key for key in RULES if key in given]
        if len(kinds) != 1:
            raise ValueError(f"a claim has exactly one of {', '.join(RULES)}")
        rest, rule = {**given}, given[kinds[0]]
        del rest[kinds[0]]
        rule = {"groups": rule} if isinstance(rule, list) else rule
        return {**rest, "rule": RULES[kinds[0]].build(rule, f"{given.get('id')}: {kinds[0]}")}

    @model_validator(mode="after")
    def _has_direction(self) -> Self:
        known = QUANTITIES[self.metric].direction if self.metric in QUANTITIES else "none"
        if self.metric and not self.direction and known == "none":
            raise ValueError(f"metric '{self.metric}' needs a direction; allowed: up, down")
        return self

    @property
    def figure(self) -> Figure:
        """What the rule reads."""
        known = QUANTITIES[self.metric].direction if self.metric in QUANTITIES else "down"
        return Figure(self.metric, self.direction or ("up" if known == "up" else "down"))

    @property
    def judged_by(self) -> str:
        """The rule in words."""
        return self.rule.text(self.figure)


@dataclass(frozen=True)
class Finding:
    """The verdict on one contrast for one published data set, what it rests on, and what it still ``needs``.

    ``group``: of the runs that it rests on; their data set may stand in for the ``published`` one. ``check``: the
    numeric check that it rests on instead. ``lacking``: rows to run, like ``group`` where there is one, with ``flags``.
    """

    label: str
    published: str
    verdict: Verdict
    region: Region
    quantity: Quantity | None = None
    effect: Interval | None = None
    group: Group | None = None
    runs: tuple[Record, ...] = ()
    check: str | None = None
    needs: tuple[str, ...] = ()
    lacking: tuple[Row, ...] = ()
    flags: str = ""

    @property
    def records(self) -> tuple[str, ...]:
        """The file stems of what it rests on."""
        return tuple(run.stem for run in self.runs)


@dataclass(frozen=True)
class Judged:
    """A claim with its findings; its verdict is the worst of theirs: ``reproduced`` means wherever it is claimed."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of: not reproduced, inconclusive, not run, reproduced."""
        return worst(self.findings)

    def rests_on(self) -> dict[tuple[str, str], list[Record]]:
        """Return (published data set, protocol) -> the records that its verdict rests on."""
        found: dict[tuple[str, str], list[Record]] = {}
        for f in self.findings:
            if f.group:
                found.setdefault((f.published, f.group.protocol), []).extend(f.runs)
        return {place: unique(runs) for place, runs in found.items()}


@cache
def checks() -> dict[str, list[float]]:
    """Return what each numeric check gave, seed by seed, when ``benchmarks/claims/checks.py`` was last run."""
    return json.loads((benchmarks() / "claims" / "checks.json").read_text(encoding="utf-8"))


@cache
def claims() -> tuple[Claim, ...]:
    """Return every claim of ``benchmarks/claims``, paper by paper."""
    files = [benchmarks() / "claims" / f"{paper}.yaml" for paper in PAPERS]
    rows = [(f.name, row) for f in files for row in yaml.safe_load(f.read_text(encoding="utf-8"))]
    return tuple(Claim.build(row, where=f"{name}, {row.get('id')}") for name, row in rows)


def judge(claim: Claim, records: Sequence[Record]) -> Judged:
    """Judge one claim on every published data set that it names."""
    if isinstance(claim.rule, Check):
        return Judged(claim, tuple(_checked(claim.rule, place) for place in claim.datasets))
    groups, findings = by_protocol(records), []
    for place in claim.datasets:
        for contrast in claim.rule.contrasts(claim.figure, place.row, place.dataset):
            found = _evidence(claim, contrast, place, groups)
            findings.append(found or _not_run(claim, contrast, place, records))
    return Judged(claim, tuple(findings))


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the first of: not reproduced, inconclusive, not run, reproduced, that a finding has."""
    return min((f.verdict for f in findings), key=WORST_FIRST.index)


def commands(findings: Sequence[Finding]) -> list[str]:
    """Return what to run for what findings lack, one command for rows with equal settings."""
    runs: dict[tuple[str, str, str], dict[str, None]] = {}
    for f in findings:
        for row in f.lacking:
            dataset, budget, threads = ("", PUBLISHED_LENGTH, 1)
            if f.group:
                dataset, _, budget, threads = f.group
            flags = f.flags + (f" --threads {threads}" if threads != 1 else "") + row.flags
            runs.setdefault((row.dataset or dataset, budget, flags), {})[row.method] = None
    every = " ".join(map(str, range(SEEDS)))
    return [
        f"latent-ot bench --dataset {dataset} --methods '{' '.join(methods)}' --seeds '{every}' "
        f"--budget {budget}{flags}"
        for (dataset, budget, flags), methods in runs.items()
    ]


def _checked(rule: Check, place: Place) -> Finding:
    """Return what the check's kept outcome says."""
    effect = t_interval(checks()[rule.name])
    return Finding(rule.name, place.name, rule.region.verdict(effect), rule.region, effect=effect, check=rule.name)


def _evidence(claim: Claim, contrast: Contrast, place: Place, groups: Groups) -> Finding | None:
    """Return the verdict on the best evidence, None if there is none.

    Evidence with an interval comes first, then the data set itself before a stand-in, then larger budgets, then runs
    with one thread; the choice never looks at the values.
    """
    own = stand_ins().get(place.dataset, [place.dataset])
    candidates = []
    for key, group in groups.items():
        admitted = place.holds(key.dataset) and _admits(claim, group)
        runs = _by_seed(contrast, place, key, groups) if admitted else {}
        effects = {s: contrast.combine(*map(contrast.figure, rows)) for s, rows in runs.items()}
        values = {s: float(value) for s, value in effects.items() if value is not None}
        if values:
            effect = t_interval(list(values.values()))
            rank = own.index(key.dataset) if key.dataset in own else len(own)
            used = unique(runs[s][i] for i in range(len(contrast.rows)) for s in values)
            finding = Finding(
                contrast.label, place.name, contrast.region.verdict(effect), contrast.region, contrast.quantity, effect,
                key, tuple(used),
            )  # fmt: skip
            order = (effect.half is None, rank, -group[0].images_budget, key.budget, key.threads, key.protocol)
            candidates.append((order, finding))
    if not candidates:
        return None
    found = min(candidates, key=lambda c: c[0])[1]
    return replace(found, flags=_flags(claim), **_lacking(found, contrast, groups))


def _admits(claim: Claim, group: Sequence[Record]) -> bool:
    """Whether a group is scored by the evaluator that the claim asks for, if it asks for one."""
    inception = any(r.protocol and r.protocol.evaluator == "inception" for r in group)
    return claim.evaluator is None or inception == (claim.evaluator == "inception")


def _flags(claim: Claim) -> str:
    return " --evaluator inception" if claim.evaluator == "inception" else ""


def _by_seed(contrast: Contrast, place: Place, key: Group, groups: Groups) -> dict[int, list[Record]]:
    """Return seed -> a finished record of each row that has the figure. The data row, untrained, serves every seed."""
    found = [{r.seed: r for r in _home(row, place, key, groups) if _has(r, row, contrast)} for row in contrast.rows]
    seeds = set.intersection(*(set(f) for f, row in zip(found, contrast.rows, strict=True) if row.method != DATA))
    for f, row in zip(found, contrast.rows, strict=True):
        if row.method == DATA and f:
            f |= dict.fromkeys(seeds - f.keys(), f[min(f)])
    return {seed: [f[seed] for f in found] for seed in sorted(seeds) if all(seed in f for f in found)}


def _home(row: Row, place: Place, key: Group, groups: Groups) -> Sequence[Record]:
    """Return the group that a row is looked for in: that of ``key``, or on the row's own data set the one like it."""
    if row.dataset is None:
        return groups[key]
    dataset = key.dataset.replace(place.dataset, row.dataset)
    like = key._replace(dataset=dataset, protocol=key.protocol.replace(key.dataset, dataset, 1))
    return groups.get(like, ())


def _has(record: Record, row: Row, contrast: Contrast) -> bool:
    return record.status == "done" and row.matches(record) and contrast.figure(record) is not None


def _lacking(found: Finding, contrast: Contrast, groups: Groups) -> dict[str, Any]:
    """Return what a finding with evidence still needs: seeds, and runs that were lost beside it."""
    assert found.effect
    assert found.group
    lost = [r for r in groups[found.group] if r.status != "done" and any(row.matches(r) for row in contrast.rows)]
    few = found.effect.n < SEEDS
    needs = [f"{SEEDS} seeds instead of {found.effect.n}"] if few else []
    needs += [f"{r.method} at seed {r.seed} ({r.status}: {r.reason})" for r in lost]
    return {"needs": tuple(needs), "lacking": _trained(contrast) if few else ()}


def _not_run(claim: Claim, contrast: Contrast, place: Place, records: Sequence[Record]) -> Finding:
    """Return what is missing for a contrast without evidence."""
    needs, lacking = [], []
    for row in _trained(contrast):
        where = Place.model_validate(row.dataset) if row.dataset else place
        runs = [r for r in records if row.matches(r) and where.holds(r.dataset)]
        if not any(_has(r, row, contrast) for r in runs):
            why = [f" ({r.reason or r.reasons.get(claim.metric, 'the figure is not in its record')})" for r in runs[:1]]
            needs.append(f"{row}{''.join(why)}")
            lacking.append(replace(row, dataset=where.dataset))
    if not needs:
        needs.append(f"{' and '.join(map(str, contrast.rows))} at one seed, budget and protocol")
        lacking = [replace(row, dataset=row.dataset or place.dataset) for row in _trained(contrast)]
    if claim.metric and claim.metric not in QUANTITIES and all(read(r, claim.metric) is None for r in records):
        needs.append(f"the figure {claim.metric} (in no record yet)")
    absent = {row.dataset for row in lacking if row.dataset not in suite_datasets()}
    needs += [f"data set {name} (not in the suite yet)" for name in sorted(filter(None, absent))]
    runnable = tuple(row for row in lacking if row.dataset not in absent)
    return Finding(
        contrast.label, place.name, "not run", contrast.region, contrast.quantity, needs=tuple(needs), lacking=runnable,
        flags=_flags(claim),
    )  # fmt: skip


def _trained(contrast: Contrast) -> tuple[Row, ...]:
    return tuple({str(row) + str(row.dataset): row for row in contrast.rows if row.method != DATA}.values())
