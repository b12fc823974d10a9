"""Verdicts on the papers' claims, printed: as a table with the evidence, or in full as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from latent_ot.budgets import length
from latent_ot.claims import PAPERS, Region, claims
from latent_ot.quantities import NONE
from latent_ot.record import Record, significant
from latent_ot.report.groups import Group, gathered, not_published, unique, who
from latent_ot.report.marks import DAGGER, outdated, said_against
from latent_ot.report.statistics import Interval, spread
from latent_ot.report.text import Cell, Column, Grid, render
from latent_ot.report.verdicts import WORST_FIRST, Finding, Judged, commands, judge

RULE = (
    "Paired by seed, 95 % t-interval of the effect: all on the claimed side is reproduced, all on the other side "
    "not reproduced, otherwise inconclusive. What is exact, as checks of numbers are, holds if it does at every seed.",
    "Reproduced and not reproduced are said of the paper's data set, settings, length (budget {}) and full width. "
    "Less than that agrees or disagrees at small scale, and how much less stands beside it. Nothing is compared with a "
    "run whose samples have collapsed.",
)
HEADS = {"claim": "claim", "statement": "statement", "paper_holds": "paper's own numbers", "dataset": "data set"}
HEADS |= {"verdict": "verdict", "evidence": "evidence"}
HOLDS = {"True": "hold", "False": "do not hold", "partial": "hold in part", "na": "not printed"}
"""Whether the paper's own numbers satisfy a claim, in words."""


def claims_json(judged: Sequence[Judged]) -> str:
    """Return claims, verdicts, effects with their intervals, and the records that they rest on or what they need."""
    rows = [
        {
            **j.claim.model_dump(include={"id", "paper", "source", "statement", "paper_holds", "note"}),
            "rule": j.claim.rule.words,
            "metric": j.claim.rule.metric or None,
            "datasets": [place.name for place in j.claim.datasets],
            "verdict": j.verdict,
            "findings": [_plain(f, j.claim.rule.keys) for f in j.findings],
        }
        for j in judged
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _plain(finding: Finding, keys: Sequence[str]) -> dict[str, Any]:
    """Return a finding as JSON has it; an end that is infinite is null."""
    effect = finding.effect
    return {
        **{key: getattr(finding, key) for key in ("label", "published", "verdict")},
        "records": [run.stem for run in finding.runs],
        **{key: getattr(finding, key) for key in ("check", "needs")},
        **(finding.group._asdict() if finding.group else dict.fromkeys(Group._fields)),
        "smaller": finding.smaller,
        "refused": [run.stem for run in finding.refused],
        "marks": gathered((mark, run.stem) for run in _marked(finding) for mark in said_against(run, keys)),
        "outdated": outdated(finding.runs),
        "not_published": [run.stem for run in finding.runs if run.stored],
        "lost": sorted(finding.lost),
        "effect": effect and {"mean": significant(effect.mean), **_ends(effect), "seeds": effect.n},
        "claimed": _ends(finding.region),
        "commands": commands([finding]),
    }


def _marked(finding: Finding) -> list[Record]:
    """Return the runs that a finding rests on or refuses, which are all that could bear a mark."""
    return unique((*finding.runs, *finding.refused))


def _ends(interval: Interval | Region) -> dict[str, float | None]:
    ends = {"low": interval.low, "high": interval.high}
    return {name: None if math.isinf(end) else significant(end) for name, end in ends.items()}


def claims_grid(judged: Sequence[Judged], records: Sequence[Record] = ()) -> Grid:
    """Return one row per claim and published data set; of ``records`` of both places it says which are which.

    A verdict that rests on an outdated record bears a dagger; whether it would still hold is for a new run to say.
    """
    rows, told = [], []
    for j in judged:
        claim = j.claim
        said = (claim.id, claim.statement, HOLDS[str(claim.paper_holds)])
        told.append(f"{claim.id} ({claim.source}): {claim.rule.words}" + (f"; {claim.note}" if claim.note else ""))
        for i, place in enumerate(claim.datasets):
            here = replace(j, findings=tuple(f for f in j.findings if f.published == place.name))
            shown = [Cell("" if i else text, {"": text}) for text in said]  # a claim is named once, in its first row
            verdict = replace(Cell.of(here.verdict), rests=tuple(run for f in here.findings for run in f.runs))
            rows.append(
                (*shown, Cell.of(place.name), verdict, Cell.of("; ".join(_evidence(here.findings, claim.rule.keys))))
            )
    counts = {v: sum(j.verdict == v for j in judged) for v in reversed(WORST_FIRST)}
    header = f"{len(judged)} claims: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    doubtful = sum(any(run.outdated for f in j.findings for run in f.runs) for j in judged)
    header += f"; {doubtful} of them {DAGGER} rest on an outdated record" if doubtful else ""
    columns = tuple(Column(key, head, right=False) for key, head in HEADS.items())
    own = ", ".join(
        f"{name} for {', '.join(papers)}" for name, papers in gathered((length(p), p) for p in PAPERS).items()
    )
    grid = Grid("Claims", columns, tuple(rows), (header, *(line.format(own) for line in RULE)))
    return replace(grid, notes=(*not_published(grid.rests, records), *told))


def _evidence(findings: Sequence[Finding], keys: Sequence[str]) -> list[str]:
    """Return effects with what they were measured on (of many contrasts a count), what they need and how to get it."""
    lines = [_effect(f, f.effect) for f in findings if f.effect]
    if len(findings) > 1 and not len(findings) == len(lines) == 2:
        verdicts = [f.verdict for f in findings]
        told = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        less = dict.fromkeys("; ".join(f.smaller) for f in findings if f.smaller)
        lines = ["; ".join([f"of {len(findings)} contrasts {told}", *less])]
    refused = unique(run for f in findings for run in f.refused)
    lines += [f"not compared with {who(refused, refused)}"] if refused else []
    rests = unique(run for f in findings for run in _marked(f))
    for mark in dict.fromkeys(mark for run in rests for mark in said_against(run, keys)):
        lines.append(f"{who([run for run in rests if mark in said_against(run, keys)], rests)}: {mark}")
    lines += dict.fromkeys(f"{DAGGER} {reason}" for f in findings for run in f.runs for reason in run.outdated)
    needs = dict.fromkeys(need for f in findings for need in f.needs)
    return [*lines, *([f"needs {', '.join(needs)}"] if needs else []), *(f"`{c}`" for c in commands(findings))]


def _effect(finding: Finding, effect: Interval) -> str:
    """Return mean ± half-width as tables print the quantity, else with three significant digits; and what it is of."""
    half = NONE if effect.half is None else f"{effect.half:.2g}"
    value = spread(finding.quantity, effect) if finding.quantity else f"{effect.mean:.3g} ± {half}"
    where = [finding.group.dataset, finding.group.at] if finding.group else ["check"]
    asked = effect.n + len(finding.lost)
    count = f"{effect.n} of {asked} seeds" if finding.lost else f"{asked} seed{'s' if asked > 1 else ''}"
    told = "; ".join([", ".join([*where, count]), *finding.smaller])
    return f"{finding.label}: {value} ({told})"


def render_claims(records: Sequence[Record], form: str) -> str:
    """Return the verdicts over all result records: ``json`` in full, any other form as a table."""
    judged = [judge(claim, records) for claim in claims()]
    return (claims_json(judged) if form == "json" else render([claims_grid(judged, records)], form)).rstrip("\n")
