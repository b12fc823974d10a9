"""Verdicts on the papers' claims, printed: as a table with the evidence, or in full as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from latent_ot.report.quantities import QUANTITIES
from latent_ot.report.records import load
from latent_ot.report.text import Cell, Column, Grid, render
from latent_ot.report.verdicts import WORST_FIRST, Claim, Finding, Judged, claims, judge, worst

RULE = (
    "Paired by seed, 95 % t-interval of the difference: all on the claimed side is reproduced, all on the other side "
    "not reproduced, otherwise inconclusive."
)


def claims_json(judged: Sequence[Judged]) -> str:
    """Return claims, verdicts and the records that they rest on."""
    rows = [
        {
            **j.claim.model_dump(include={"id", "paper", "source", "metric", "datasets", "paper_holds", "note"}),
            "statement": j.claim.statement,
            "verdict": j.verdict,
            "findings": [asdict(f) for f in j.findings],
        }
        for j in judged
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def claims_grid(judged: Sequence[Judged]) -> Grid:
    """Return one row per claim and published data set."""
    heads = {"claim": "claim", "statement": "statement", "paper_holds": "paper's own numbers", "dataset": "data set"}
    heads |= {"verdict": "verdict", "evidence": "evidence"}
    rows = []
    for j in judged:
        for i, dataset in enumerate(j.claim.datasets):
            found = [f for f in j.findings if f.published == dataset]
            said = (j.claim.id, j.claim.statement, "hold" if j.claim.paper_holds else "do not hold")
            shown = [Cell("" if i else text, {"": text}) for text in said]  # a claim is named once, in its first row
            verdict, evidence = worst(found), "; ".join(_evidence(j.claim, found))
            rows.append((*shown, Cell.of(dataset), Cell.of(verdict), Cell.of(evidence)))
    counts = {v: sum(j.verdict == v for j in judged) for v in reversed(WORST_FIRST)}
    header = f"{len(judged)} claims: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    notes = [f"{j.claim.id} ({j.claim.source}): {j.claim.note}" for j in judged if j.claim.note]
    columns = tuple(Column(key, head, right=False) for key, head in heads.items())
    return Grid("Claims", columns, tuple(rows), (header, RULE), tuple(notes))


def _evidence(claim: Claim, findings: Sequence[Finding]) -> list[str]:
    """Return the measured differences with what they were measured on (of many pairs a count), and what is needed."""
    lines = []
    for f in findings:
        if f.difference:
            seeds = f"{f.difference.n} seed{'s' if f.difference.n > 1 else ''}"
            difference = QUANTITIES[claim.metric].spread(f.difference)
            lines.append(f"{f.a} – {f.b}: {difference} ({f.dataset}, {f.budget}, {seeds})")
    if len(findings) > 1:
        verdicts = [f.verdict for f in findings]
        lines = [f"of {len(findings)} pairs " + ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))]
    needs = dict.fromkeys(need for f in findings for need in f.needs)
    return [*lines, *([f"needs {', '.join(needs)}"] if needs else [])]


def render_claims(root: Path, form: str) -> str:
    """Return the verdicts over the records under ``root/results``: ``json`` in full, any other form as a table."""
    records = load(root)
    judged = [judge(claim, records) for claim in claims()]
    return (claims_json(judged) if form == "json" else render([claims_grid(judged)], form)).rstrip("\n")
