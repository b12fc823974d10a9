"""The papers' claims, judged by rule over the records: reproduced, not reproduced, inconclusive, or not run.

A claim (``latent_ot/claims.py``) is a statement with a rule and the data sets that it is made for. Rows are compared
seed by seed under one protocol and budget: a 95 % t-interval of the effect that lies on the claimed side reproduces the
claim, one on the other side does not, and one that contains the boundary is inconclusive. What is exact needs no
interval: it holds if it does at every seed. A run of less than the paper's data set, length or width can but agree or
disagree at small scale, and nothing is compared with a run whose samples have collapsed. Where a run diverged or failed
at one of the seeds, those that are left decide nothing but that something exact is refuted. Statements about numbers,
not runs, rest on a check of the suite's own code (``benchmarks/claims/checks.py``).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from latent_ot.budgets import budget, length
from latent_ot.claims import Claim, Place, Region, Row, Rule, checks
from latent_ot.metrics.evaluators.at_hand import ANY_DOMAIN
from latent_ot.published import in_words, published_sets, stand_ins, stands_for
from latent_ot.quantities import QUANTITIES, Quantity
from latent_ot.record import DATA, Record
from latent_ot.report.groups import Group, Groups, by_protocol, unique
from latent_ot.report.statistics import Interval, t_interval

Verdict = Literal[
    "reproduced", "not reproduced", "agrees at small scale", "disagrees at small scale", "inconclusive", "not run"
]
WORST_FIRST: tuple[Verdict, ...] = (
    "not reproduced", "disagrees at small scale", "inconclusive", "not run", "agrees at small scale", "reproduced",
)  # fmt: skip
SMALL: dict[Verdict, Verdict] = {
    "reproduced": "agrees at small scale",
    "not reproduced": "disagrees at small scale",
}
SEEDS = 3
"""Seeds that a verdict should rest on; two give an interval already, and one gives none."""
CODES_A_STEP = 128
"""Of latent samplers unless set otherwise: the codes that a run drew beside the steps of a paper's length."""
KEPT = ("--subset", "--evaluator", "--weights", "--inception-weights", "--plugin")
"""Options of a run's command that further seeds of it need, too."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one contrast for one published data set, what it rests on, and what it still ``needs``.

    ``group``: of the runs that it rests on; their data set may stand in for the ``published`` one. ``smaller``: in what
    they fall short of what the paper ran, in words. ``refused``: runs that nothing is compared with. ``lost``: seeds at
    which a run diverged or failed. ``check``: the numeric check that it rests on instead. ``lacking``: rows to run,
    each with its data set and budget, with ``flags``.
    """

    label: str
    published: str
    region: Region
    verdict: Verdict = "not run"
    quantity: Quantity | None = None
    effect: Interval | None = None
    group: Group | None = None
    runs: tuple[Record, ...] = ()
    smaller: tuple[str, ...] = ()
    refused: tuple[Record, ...] = ()
    lost: frozenset[int] = frozenset()
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
        """The worst, by ``WORST_FIRST``."""
        return min((f.verdict for f in self.findings), key=WORST_FIRST.index)

    def rests_on(self) -> dict[tuple[str, str], list[Record]]:
        """Return (published data set, protocol) -> the records that its verdict rests on."""
        found = [((f.published, f.group.protocol), f.runs) for f in self.findings if f.group and f.runs]
        return {place: unique(run for at, runs in found if at == place for run in runs) for place in dict(found)}


def commands(findings: Sequence[Finding]) -> list[str]:
    """Return what to run for what findings lack, one command for rows with equal settings."""
    runs: dict[tuple[str | None, str | None, str], dict[str, None]] = {}
    seeds = " ".join(map(str, range(SEEDS)))
    for f in findings:
        for row in f.lacking:
            settings = f" --set {in_words(row.settings, ' --set ')}" if row.settings else ""
            runs.setdefault((row.dataset, row.budget, f.flags + settings), {})[row.method] = None
    return [
        f"latent-ot bench --dataset {at} --methods '{' '.join(methods)}' --seeds '{seeds}' --budget {size}{flags}"
        for (at, size, flags), methods in runs.items()
    ]


def verdict_on(effect: Interval, region: Region) -> Verdict:
    """Return what an effect's interval over seeds says; one value has none, and is inconclusive."""
    if effect.half is None:
        return "inconclusive"
    if effect.low > region.high or effect.high < region.low:
        return "not reproduced"
    return "reproduced" if region.holds(effect.low) and region.holds(effect.high) else "inconclusive"


def at_every_seed(effects: Sequence[float], region: Region) -> Verdict:
    """Return what seeds say of an exact statement: one counterexample refutes it, one example does not show it."""
    if not all(map(region.holds, effects)):
        return "not reproduced"
    return "reproduced" if len(effects) > 1 else "inconclusive"


def smaller(run: Record, dataset: str, paper: str) -> tuple[str, ...]:
    """Return in what a run falls short of what a paper ran on a data set, in words; empty if in nothing."""
    known = published_sets()[dataset]
    full = budget(length(paper), dataset, known.train, known.kind)
    if (run.dataset, run.budget) == (dataset, full.name):
        return ()
    unit, train = "images" if known.kind == "image" else "points", run.data.get("train")
    said = [] if run.dataset == dataset else [f"{run.dataset} for {dataset}"]
    if isinstance(train, int) and train < known.train:
        said = [_share(train, known.train, f"training {unit}")]
    if run.images_budget < full.images:
        said.append(_share(run.images_budget, full.images, f"{unit} drawn"))
    elif run.codes_budget and run.codes_budget < full.codes_of(CODES_A_STEP):
        said.append(_share(run.codes_budget, full.codes_of(CODES_A_STEP), "codes drawn"))
    return (*said, *([f"width {run.width:g}"] if run.width < full.width else []))


def _share(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what} (1/{whole / part:.3g})"


def judge(claim: Claim, records: Sequence[Record]) -> Judged:
    """Judge one claim on every published data set that it names."""
    rule, groups, found = claim.rule, by_protocol(records), []
    quantity = QUANTITIES.get((rule.unit or rule.metric).removeprefix("loss."))
    flags = " --evaluator inception" if claim.evaluator == "inception" else ""
    for place in claim.datasets:
        region = rule.region(place.dataset)
        if check := rule.check:
            values = checks()[check]
            told = at_every_seed(values, region)
            found.append(Finding(check, place.name, region, told, effect=t_interval(values), check=check))
        for contrast in rule.rows:
            rows = [place.row(row) for row in contrast]
            bare = Finding(rule.name(rows), place.name, region, quantity=quantity, flags=flags)
            found.append(_judged(bare, claim, rows, place, groups) or _not_run(bare, claim, rows, place, records))
    return Judged(claim, tuple(found))


def _judged(bare: Finding, claim: Claim, rows: Sequence[Row], place: Place, groups: Groups) -> Finding | None:
    """Return the verdict on the best evidence, None if there is none; the choice never looks at the values.

    Evidence with an interval comes first, then the data set before a stand-in, the paper's own length before others,
    larger budgets, runs with one thread on one device.
    """
    own, found = stand_ins()[place.dataset], []
    for key, group in groups.items():
        names = {r.protocol.evaluator for r in group if r.protocol}
        evaluator = next((name for name in ANY_DOMAIN if name in names), "own")
        if place.dataset not in (key.dataset, stands_for(key.dataset)) or claim.evaluator not in (None, evaluator):
            continue
        seeds = _by_seed(claim.rule, rows, place, key, groups)
        refused = {
            seed for seed, runs in seeds.items() if len(rows) > 1 and any(r.facts.get("collapsed") for r in runs)
        }
        effects = {seed: claim.rule.effect(*map(claim.rule.figure, seeds[seed])) for seed in seeds.keys() - refused}
        values = {seed: float(effects[seed]) for seed in sorted(effects) if effects[seed] is not None}
        if values or refused:
            rank = own.index(key.dataset) if key.dataset in own else len(own)
            length_first = key.budget != length(claim.paper), -group[0].images_budget
            shared_by = key.threads, key.devices
            order = (len(values) < 2, not values, rank, *length_first, key.budget, *shared_by, key.protocol)
            found.append((order, key, values, seeds, refused))
    if not found:
        return None
    _, key, values, seeds, refused = min(found, key=lambda f: f[0])
    lost = [r for r in groups[key] if r.status != "done" and any(row.is_of(r) for row in rows)]
    needs = [f"{SEEDS} seeds instead of {len(values)}"] if len(values) < SEEDS else []
    needs += [f"{r.method} at seed {r.seed} ({r.status}: {r.reason})" for r in lost]
    fallen = frozenset(r.seed for r in lost if r.status != "declined") - values.keys()
    stopped = unique(run for seed in sorted(refused) for run in seeds[seed] if run.facts.get("collapsed"))
    runs = unique(seeds[seed][i] for i in range(len(rows)) for seed in values)
    first = next(run for run in (*runs, *seeds[min(seeds)]) if run.method != DATA)
    less = smaller(first, place.dataset, claim.paper)
    told = replace(bare, group=key, runs=tuple(runs), refused=tuple(stopped), smaller=less, needs=tuple(needs))
    told = replace(told, lost=fallen, **_told([*values.values()], bool(less), bool(fallen), bare.region, claim.rule))
    if len(seeds) < SEEDS:
        dataset, flags = _again(first, bare.flags)
        return replace(told, lacking=_placed(rows, dataset, key.budget), flags=flags)
    return replace(told, lacking=_placed(rows, place.dataset, length(claim.paper)) if less else ())


def _told(values: Sequence[float], small: bool, lost: bool, region: Region, rule: Rule) -> dict[str, Any]:
    """Return effect and verdict of the values of seeds; without any, all were refused. ``lost``: there were others."""
    if not values:
        return {"verdict": "inconclusive"}
    effect = t_interval(values)
    verdict = at_every_seed(values, region) if rule.exact else verdict_on(effect, region)
    if lost and not (rule.exact and verdict == "not reproduced"):
        verdict = "inconclusive"
    return {"effect": effect, "verdict": SMALL.get(verdict, verdict) if small else verdict}


def _placed(rows: Sequence[Row], dataset: str, budget: str) -> tuple[Row, ...]:
    """Return the rows that train, with the data set and the budget where to run them, unless they have their own."""
    trained = (row for row in rows if row.method != DATA)
    return tuple(row._replace(dataset=row.dataset or dataset, budget=row.budget or budget) for row in trained)


def _again(run: Record, flags: str) -> tuple[str, str]:
    """Return the data set and the options, beside ``flags``, with which further seeds of a run are run."""
    words = shlex.split(run.command or "")
    given = [(word, words[i + 1]) for i, word in enumerate(words[:-1]) if word.startswith("--")]
    kept = [f" {name} {shlex.quote(value)}" for name, value in given if name in KEPT and name not in flags]
    several = {"--threads": run.threads, "--devices-per-run": run.devices}
    kept += [f" {name} {count}" for name, count in several.items() if count != 1]
    return dict(given).get("--dataset", run.dataset), "".join([flags, *kept])


def _by_seed(
    rule: Rule, rows: Sequence[Row], place: Place, key: Group, groups: Groups
) -> Mapping[int, Sequence[Record]]:
    """Return seed -> a record of each row that has the figure, of a group or its like at a row's own place."""
    found = []
    for row in rows:
        dataset = key.dataset.replace(place.dataset, row.dataset or place.dataset)
        protocol = key.protocol.replace(key.dataset, dataset, 1)
        home = key._replace(dataset=dataset, protocol=protocol, budget=row.budget or key.budget)
        found.append({r.seed: r for r in groups.get(home, ()) if row.is_of(r) and rule.figure(r) is not None})
    every = sorted({seed for runs in found for seed in runs})
    for row, runs in zip(rows, found, strict=True):
        if row.method == DATA and runs:  # untrained, it serves every seed
            runs |= dict.fromkeys(every, runs[min(runs)]) | runs
    return {seed: [runs[seed] for runs in found] for seed in every if all(seed in runs for runs in found)}


def _not_run(bare: Finding, claim: Claim, rows: Sequence[Row], place: Place, records: Sequence[Record]) -> Finding:
    """Return what is missing for a contrast without evidence."""
    rule, trained = claim.rule, _placed(rows, place.dataset, length(claim.paper))
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
    return replace(bare, needs=tuple(needs), lacking=tuple(absent) or trained)
