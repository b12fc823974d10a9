"""The papers' claims, judged by rule over the records: reproduced, not reproduced, inconclusive, or not run.

A claim (``latent_ot/claims.py``) is a statement with a rule and the data sets that it is made for. Rows are compared
seed by seed under one protocol and budget: a 95 % t-interval of the effect that lies on the claimed side reproduces the
claim, one on the other side does not, and one that contains the boundary is inconclusive. Statements about numbers, not
runs, rest on a check of the suite's own code (``benchmarks/claims/checks.py``), by the same rule over its seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from latent_ot.claims import Claim, Place, Region, Row, Rule, checks
from latent_ot.published import in_words, stand_ins, stands_for
from latent_ot.quantities import QUANTITIES, Quantity
from latent_ot.record import DATA, Record
from latent_ot.report.groups import Group, Groups, by_protocol, unique
from latent_ot.report.statistics import Interval, t_interval

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
WORST_FIRST: tuple[Verdict, ...] = ("not reproduced", "inconclusive", "not run", "reproduced")
SEEDS = 3
"""Seeds that a verdict should rest on; two give an interval already, and one gives none."""
UNRUN = Group("", "", "paper", 1)  # where nothing was run yet, a claim asks for the published length


@dataclass(frozen=True)
class Finding:
    """The verdict on one contrast for one published data set, what it rests on, and what it still ``needs``.

    ``group``: of the runs that it rests on; their data set may stand in for the ``published`` one. ``check``: the
    numeric check that it rests on instead. ``lacking``: rows to run, like ``group`` where there is one, with ``flags``.
    """

    label: str
    published: str
    region: Region
    verdict: Verdict = "not run"
    quantity: Quantity | None = None
    effect: Interval | None = None
    group: Group | None = None
    runs: tuple[Record, ...] = ()
    check: str | None = None
    needs: tuple[str, ...] = ()
    lacking: tuple[Row, ...] = ()
    flags: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim with its findings; its verdict is the worst of theirs: ``reproduced`` means wherever it is claimed."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of: not reproduced, inconclusive, not run, reproduced."""
        return min((f.verdict for f in self.findings), key=WORST_FIRST.index)

    def rests_on(self) -> dict[tuple[str, str], list[Record]]:
        """Return (published data set, protocol) -> the records that its verdict rests on."""
        found = [((f.published, f.group.protocol), f.runs) for f in self.findings if f.group]
        return {place: unique(run for at, runs in found if at == place for run in runs) for place in dict(found)}


def commands(findings: Sequence[Finding]) -> list[str]:
    """Return what to run for what findings lack, one command for rows with equal settings."""
    runs: dict[tuple[str, ...], dict[str, None]] = {}
    seeds = " ".join(map(str, range(SEEDS)))
    for f in findings:
        dataset, _, budget, threads = f.group or UNRUN
        options = f.flags + (f" --threads {threads}" if threads != 1 else "")
        for row in f.lacking:
            settings = f" --set {in_words(row.settings, ' --set ')}" if row.settings else ""
            runs.setdefault((row.dataset or dataset, budget, options + settings), {})[row.method] = None
    return [
        f"latent-ot bench --dataset {at} --methods '{' '.join(methods)}' --seeds '{seeds}' --budget {budget}{flags}"
        for (at, budget, flags), methods in runs.items()
    ]


def verdict_on(effect: Interval, region: Region) -> Verdict:
    """Return what an effect's interval over seeds says; one value has none, and is inconclusive."""
    if effect.half is None:
        return "inconclusive"
    if effect.low > region.high or effect.high < region.low:
        return "not reproduced"
    return "reproduced" if region.holds(effect.low) and region.holds(effect.high) else "inconclusive"


def judge(claim: Claim, records: Sequence[Record]) -> Judged:
    """Judge one claim on every published data set that it names."""
    rule, groups, found = claim.rule, by_protocol(records), []
    quantity = QUANTITIES.get((rule.unit or rule.metric).removeprefix("loss."))
    flags = " --evaluator inception" if claim.evaluator == "inception" else ""
    for place in claim.datasets:
        region = rule.region(place.dataset)
        if check := rule.check:
            effect = t_interval(checks()[check])
            found.append(Finding(check, place.name, region, verdict_on(effect, region), effect=effect, check=check))
        for contrast in rule.rows:
            rows = [place.row(row) for row in contrast]
            bare = Finding(rule.name(rows), place.name, region, quantity=quantity, flags=flags)
            found.append(_judged(bare, claim, rows, place, groups) or _not_run(bare, rule, rows, place, records))
    return Judged(claim, tuple(found))


def _judged(bare: Finding, claim: Claim, rows: Sequence[Row], place: Place, groups: Groups) -> Finding | None:
    """Return the verdict on the best evidence, None if there is none; the choice never looks at the values.

    Evidence with an interval comes first, then the data set before a stand-in, larger budgets, runs with one thread.
    """
    own, found = stand_ins()[place.dataset], []
    for key, group in groups.items():
        evaluator = "inception" if any(r.protocol and r.protocol.evaluator == "inception" for r in group) else "own"
        if place.dataset not in (key.dataset, stands_for(key.dataset)) or claim.evaluator not in (None, evaluator):
            continue
        seeds = _by_seed(claim.rule, rows, place, key, groups)
        effects = {seed: claim.rule.effect(*map(claim.rule.figure, runs)) for seed, runs in seeds.items()}
        values = {seed: float(effect) for seed, effect in effects.items() if effect is not None}
        if values:
            effect = t_interval(list(values.values()))
            rank = own.index(key.dataset) if key.dataset in own else len(own)
            order = (effect.half is None, rank, -group[0].images_budget, key.budget, key.threads, key.protocol)
            found.append((order, key, effect, unique(seeds[seed][i] for i in range(len(rows)) for seed in values)))
    if not found:
        return None
    _, key, effect, runs = min(found, key=lambda f: f[0])
    lost = [r for r in groups[key] if r.status != "done" and any(row.is_of(r) for row in rows)]
    needs = [f"{SEEDS} seeds instead of {effect.n}"] if effect.n < SEEDS else []
    needs += [f"{r.method} at seed {r.seed} ({r.status}: {r.reason})" for r in lost]
    lacking = tuple(row for row in rows if row.method != DATA and effect.n < SEEDS)
    told = replace(bare, verdict=verdict_on(effect, bare.region), effect=effect, group=key, runs=tuple(runs))
    return replace(told, needs=tuple(needs), lacking=lacking)


def _by_seed(rule: Rule, rows: Sequence[Row], place: Place, key: Group, groups: Groups) -> dict[int, list[Record]]:
    """Return seed -> a record of each row that has the figure, of a group or its like on a row's own data set."""
    found = []
    for row in rows:
        dataset = key.dataset.replace(place.dataset, row.dataset or place.dataset)
        home = key._replace(dataset=dataset, protocol=key.protocol.replace(key.dataset, dataset, 1))
        found.append({r.seed: r for r in groups.get(home, ()) if row.is_of(r) and rule.figure(r) is not None})
    every = sorted({seed for runs in found for seed in runs})
    for row, runs in zip(rows, found, strict=True):
        if row.method == DATA and runs:  # untrained, it serves every seed
            runs |= dict.fromkeys(every, runs[min(runs)]) | runs
    return {seed: [runs[seed] for runs in found] for seed in every if all(seed in runs for runs in found)}


def _not_run(bare: Finding, rule: Rule, rows: Sequence[Row], place: Place, records: Sequence[Record]) -> Finding:
    """Return what is missing for a contrast without evidence."""
    trained = [row._replace(dataset=row.dataset or place.dataset) for row in rows if row.method != DATA]
    needs, absent = [], []
    for row in trained:
        runs = [r for r in records if row.is_of(r) and row.dataset in (r.dataset, stands_for(r.dataset))]
        if all(rule.figure(r) is None for r in runs):
            why = (r.reason or r.reasons.get(rule.metric, "the figure is not in its record") for r in runs[:1])
            needs.append("".join([str(row), *(f" ({reason})" for reason in why)]))
            absent.append(row)
    needs = needs or [f"{' and '.join(map(str, rows))} at one seed, budget and protocol"]
    if rule.metric and rule.metric not in QUANTITIES and all(rule.figure(r) is None for r in records):
        needs.append(f"the figure {rule.metric} (in no record yet)")
    return replace(bare, needs=tuple(needs), lacking=tuple(absent or trained))
