"""Verdicts on the papers' claims, printed: as a table with the evidence, or in full as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from latent_ot.quantities import NONE
from latent_ot.record import Record, significant
from latent_ot.report import groups
from latent_ot.report.contrasts import Region
from latent_ot.report.groups import DAGGER, Group
from latent_ot.report.statistics import Interval, spread
from latent_ot.report.text import Cell, Column, Grid, render
from latent_ot.report.verdicts import WORST_FIRST, Claim, Finding, Judged, claims, commands, judge, worst

RULE = (
    "Paired by seed, 95 % t-interval of the effect: all on the claimed side is reproduced, all on the other side "
    "not reproduced, otherwise inconclusive. A numeric check is judged by the same rule."
)
HOLDS = {"True": "hold", "False": "do not hold", "partial": "hold in part", "na": "not printed"}
"""Whether the paper's own numbers satisfy a claim, in words."""


def claims_json(judged: Sequence[Judged]) -> str:
    """Return claims, verdicts, effects with their intervals, and the records that they rest on or what they need."""
    told = {"id", "paper", "source", "statement", "paper_holds", "note"}
    rows = [
        {
            **j.claim.model_dump(include=told),
            "rule": j.claim.judged_by,
            "metric": j.claim.metric or None,
            "datasets": [place.name for place in j.claim.datasets],
            "verdict": j.verdict,
            "findings": [_plain(f) for f in j.findings],
        }
        for j in judged
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _plain(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it; an end that is infinite is null."""
    kept = ("label", "published", "verdict", "records", "check", "needs")
    effect = finding.effect
    return {name: getattr(finding, name) for name in kept} | {
        **(finding.group._asdict() if finding.group else dict.fromkeys(Group._fields)),
        "outdated": groups.outdated(finding.runs),
        "not_published": [run.stem for run in finding.runs if run.stored],
        "effect": effect and {"mean": significant(effect.mean), **_ends(effect), "seeds": effect.n},
        "claimed": _ends(finding.region),
        "commands": commands([finding]),
    }


def _ends(interval: Interval | Region) -> dict[str, float | None]:
    ends = {"low": interval.low, "high": interval.high}
    return {name: None if math.isinf(end) else significant(end) for name, end in ends.items()}


def claims_grid(judged: Sequence[Judged], records: Sequence[Record] = ()) -> Grid:
    """Return one row per claim and published data set; of ``records`` of both places it says which are which.

    A verdict that rests on an outdated record bears a dagger; whether it would still hold is for a new run to say.
    """
    heads = {"claim": "claim", "statement": "statement", "paper_holds": "paper's own numbers", "dataset": "data set"}
    heads |= {"verdict": "verdict", "evidence": "evidence"}
    rows = []
    for j in judged:
        said = (j.claim.id, j.claim.statement, HOLDS[str(j.claim.paper_holds)])
        for i, place in enumerate(j.claim.datasets):
            found = [f for f in j.findings if f.published == place.name]
            shown = [Cell("" if i else text, {"": text}) for text in said]  # a claim is named once, in its first row
            verdict = replace(Cell.of(worst(found)), rests=tuple(run for f in found for run in f.runs))
            rows.append((*shown, Cell.of(place.name), verdict, Cell.of("; ".join(_evidence(found)))))
    counts = {v: sum(j.verdict == v for j in judged) for v in reversed(WORST_FIRST)}
    header = f"{len(judged)} claims: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    doubtful = sum(any(run.outdated for f in j.findings for run in f.runs) for j in judged)
    header += f"; {doubtful} of them {DAGGER} rest on an outdated record" if doubtful else ""
    notes = [_told(j.claim) for j in judged]
    columns = tuple(Column(key, head, right=False) for key, head in heads.items())
    grid = Grid("Claims", columns, tuple(rows), (header, RULE))
    return replace(grid, notes=(*groups.not_published(grid.rests, records), *notes))


def _told(claim: Claim) -> str:
    """Return where a claim stands, how it is judged, and what to know about it."""
    return f"{claim.id} ({claim.source}): {claim.judged_by}" + (f"; {claim.note}" if claim.note else "")


def _evidence(findings: Sequence[Finding]) -> list[str]:
    """Return effects with what they were measured on (of many contrasts a count), what they need and how to get it."""
    lines = []
    for f in findings:
        if f.effect:
            seeds = f"{f.effect.n} seed{'s' if f.effect.n > 1 else ''}"
            where = f"{f.group.dataset}, {f.group.at}, {seeds}" if f.group else f"check, {seeds}"
            lines.append(f"{f.label}: {_spread(f)} ({where})")
    if len(findings) > 1:
        verdicts = [f.verdict for f in findings]
        told = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        lines = lines if len(findings) == 2 and len(lines) == 2 else [f"of {len(findings)} contrasts {told}"]
    needs = dict.fromkeys(need for f in findings for need in f.needs)
    reasons = dict.fromkeys(reason for f in findings for run in f.runs for reason in run.outdated)
    lines += [f"{DAGGER} {reason}" for reason in reasons]
    return [*lines, *([f"needs {', '.join(needs)}"] if needs else []), *(f"`{c}`" for c in commands(findings))]


def _spread(finding: Finding) -> str:
    """Return mean ± half-width as tables print the quantity, else with three significant digits."""
    assert finding.effect
    if finding.quantity:
        return spread(finding.quantity, finding.effect)
    half = finding.effect.half
    return f"{finding.effect.mean:.3g} ± " + (NONE if half is None else f"{half:.2g}")


def render_claims(records: Sequence[Record], form: str) -> str:
    """Return the verdicts over all result records: ``json`` in full, any other form as a table."""
    judged = [judge(claim, records) for claim in claims()]
    return (claims_json(judged) if form == "json" else render([claims_grid(judged, records)], form)).rstrip("\n")
