"""Every claim on invented records of the shape that runs have: where it is true, where it is false, and in between.

So there is none that no run could ever reproduce, or refute.
"""

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from latent_ot.bench.train import SNAPSHOTS
from latent_ot.budgets import budget, length
from latent_ot.claims import claims, relative
from latent_ot.curve_table import Curves
from latent_ot.published import published_sets
from latent_ot.record import Protocol, StageRef
from latent_ot.report.verdicts import SMALL, judge

STAGES = [StageRef(stage=name, key="0" * 16, made_of={"stage": {"Method": 1, "Stage": 1}}) for name in ("ae", "gan")]
SEEDS = range(3)
LOGGED = 200  # points of a curve that training logs itself


def size(dataset, name):
    """The budget of a name on the whole of a published data set."""
    known = published_sets()[dataset]
    return budget(name, dataset, known.train, known.kind)


def looked_at(dataset, images):
    """After how many images the figures of a run are followed."""
    return [share * images for share in (*SNAPSHOTS[published_sets()[dataset].kind], 1.0)]


def logged(images, *halves):
    """A curve that training logs, half and half at two levels."""
    return [[images * i / LOGGED, halves[2 * i > LOGGED]] for i in range(1, LOGGED + 1)]


def crossing(xs, level, at):
    """A curve at points xs that ends at 1 and falls through a level above it at a given place."""
    k = next(k for k, x in enumerate(xs) if x >= at)
    if k == 0:
        return [[x, 1.0] for x in xs]
    share = (at - xs[k - 1]) / (xs[k] - xs[k - 1])
    before = 99.0 if share == 1 else level + (level - 1) * share / (1 - share)
    return [[x, 99.0] for x in xs[: k - 1]] + [[xs[k - 1], before]] + [[x, 1.0] for x in xs[k:]]


def reading(rule, dataset, images, wanted):
    """What a record has so that the rule reads of it what is wanted."""
    read, xs = rule.read, looked_at(dataset, images)
    if rule.figures:
        limits = read.keywords.get("limits")
        figures = [wanted * limit for limit in limits] if limits else [wanted + 1, 1.0]
        return {"facts": dict(zip(rule.figures, figures, strict=True))}
    if not rule.curves and not rule.metric.startswith("loss."):
        return {"metrics": {rule.metric: wanted}}
    flat = logged(images, wanted, wanted)
    above = [[x, 0.4 + (0.1 if i < wanted * LOGGED else -0.1)] for i, (x, _) in enumerate(flat)]
    curves = {
        "itself": lambda: [flat if rule.metric.startswith("loss.") else [[x, wanted] for x in xs]],
        "largest_rise": lambda: [logged(images, 1.0, 1 + wanted)] * 2,
        "final_over_initial": lambda: [logged(images, 1.0, wanted)],
        "highest_after": lambda: [flat],
        "share_just_above": lambda: [above, logged(images, 0.4, 0.4)],
        "images_to_settle": lambda: [crossing(xs, 1 + read.keywords["within"], wanted)],
    }[read.func.__name__]()
    found = {"loss": {}}
    for name, curve in zip(rule.curves or (rule.metric,), curves, strict=True):
        kind, _, key = name.partition(".")
        (found["loss"] if kind == "loss" else found)[key or kind] = curve
    return {"curves": found}


def made(base, claim, row, dataset, seed, wanted, small):
    """A record of a row of which the rule reads what is wanted, as long as the paper's or as ``ci``."""
    dataset, own = row.dataset or dataset, row.budget or length(claim.paper)
    whole = size(dataset, "ci" if small else own)
    named = {"metrics": {}} | reading(claim.rule, dataset, whole.images, wanted)
    evaluator = "inception" if claim.evaluator == "inception" else "own"
    changes = {
        "method": str(row), "seed": seed, "dataset": dataset, "budget": whole.name, "images_budget": whole.images,
        "width": whole.width, "overrides": row.settings, "config": row.settings,
        "stages": STAGES if row.method == "ae_ot_gan" else STAGES[:1],
        "protocol": Protocol(id=f"{dataset}/{evaluator}/n1000", evaluator=evaluator, n=1000),
        "curves": Curves.model_validate(named.pop("curves", {}), strict=False),
    }  # fmt: skip
    return base.model_copy(update=changes | named)  # reading and writing each of them would take a minute


def ends(region, step):
    """An effect well inside of a region, and one well outside."""
    low, high = region.low, region.high
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2, 2 * high - low
    edge, sign = (low, 1) if math.isfinite(low) else (high, -1)
    margin = step if edge == 0 else 0.1 * abs(edge)
    return edge + sign * margin, edge - sign * margin


def values(claim, place, broken, step):
    """(row, what to read of it), so that all contrasts hold but the broken one."""
    rule, region = claim.rule, claim.rule.region(place.dataset)
    contrasts = [[place.row(row) for row in rows] for rows in rule.rows]
    rows = list({repr(row): row for rows in contrasts for row in rows}.values())
    if rule.effect.func.__name__ == "excess_images":  # the level that the first falls to, and the second ends at
        return zip(rows, (4.0 if broken is None else 9.0, 5.0), strict=True)
    lines, bounds = [], []
    for i, contrast in enumerate(contrasts):
        inside, outside = ends(region, step)
        wanted, falls = (outside, inside > outside) if i == broken else (inside, inside < outside)
        if rule.effect.func is relative:
            weights, wanted = [1, -(1 + wanted)], 0
        elif rule.effect.func.__name__ == "early":
            weights = [1, -1]
        else:
            nothing = rule.effect(*[0.0] * len(contrast))
            weights, wanted = [rule.effect(*row) - nothing for row in np.eye(len(contrast))], wanted - nothing
        line = np.zeros(len(rows))
        np.add.at(line, [rows.index(row) for row in contrast], weights)
        lines.append(line if falls else -line)  # at most what is wanted, or at least
        bounds.append(wanted if falls else -wanted)
    least = {"difference": -9, "images_to_settle": 2 * step}.get(rule.read.func.__name__, rule.effect.func is relative)
    found = linprog(np.ones(len(rows)), lines, bounds, bounds=(least, None))
    assert found.success, f"{claim.id}: no values could make it {'true' if broken is None else 'false'}"
    return zip(rows, map(float, found.x), strict=True)


def records(base, claim, broken=None, small=False):
    """Records on every data set of a claim. ``broken``: seed -> the contrast that is false there."""
    found = []
    for place in claim.datasets:
        images = size(place.dataset, "ci" if small else length(claim.paper)).images
        step = images / 8 if claim.rule.unit == "images_seen" else 1
        for false in dict.fromkeys([None, *(broken or {}).values()]):
            seeds = [seed for seed in SEEDS if (broken or {}).get(seed) == false]
            chosen = list(values(claim, place, false, step)) if seeds else []
            found += [made(base, claim, row, place.dataset, s, value, small) for s in seeds for row, value in chosen]
    return found


COMPARED = [claim for claim in claims() if claim.rule.rows]
WITHIN = [claim for claim in COMPARED if not any(row.budget for rows in claim.rule.rows for row in rows)]
by_id = pytest.mark.parametrize("one", COMPARED, ids=lambda claim: claim.id)


@pytest.fixture
def base(record):
    return record()


def at_first(claim):
    """The claim for its first data set alone."""
    return claim.model_copy(update={"datasets": claim.datasets[:1]})


@by_id
def test_every_claim_can_be_reproduced_and_then_needs_nothing(base, one):
    judged = judge(one, records(base, one))
    assert {f.verdict for f in judged.findings} == {"reproduced"}
    assert not any(f.needs or f.lacking for f in judged.findings)


@by_id
def test_no_claim_holds_where_one_of_its_contrasts_is_false(base, one):
    one = at_first(one)
    for contrast in {0, len(one.rule.rows) - 1}:
        judged = judge(one, records(base, one, dict.fromkeys(SEEDS, contrast)))
        assert judged.verdict == judged.findings[contrast].verdict == "not reproduced"


@by_id
def test_where_seeds_differ_a_claim_is_open_unless_it_is_exact(base, one):
    one = at_first(one)
    judged = judge(one, records(base, one, {1: 0}))
    assert judged.findings[0].verdict == ("not reproduced" if one.rule.exact else "inconclusive")
    assert judged.verdict != "reproduced"


@pytest.mark.parametrize("one", WITHIN, ids=lambda claim: claim.id)
def test_less_than_the_papers_scale_reproduces_and_refutes_nothing(base, one):
    one = at_first(one)
    for broken, verdict in ((None, "reproduced"), (dict.fromkeys(SEEDS, 0), "not reproduced")):
        judged = judge(one, records(base, one, broken, small=True))
        assert judged.verdict == SMALL[verdict]
        assert all(f.smaller and f.lacking for f in judged.findings)


@pytest.mark.parametrize("one", [c for c in claims() if c.rule.check], ids=lambda claim: claim.id)
def test_every_check_can_hold_and_fail(monkeypatch, one):
    inside, outside = ends(one.rule.region(one.datasets[0].dataset), 1)
    exactly = one.rule.region("").high == 0
    inside = 0.0 if exactly else inside
    for kept, verdict in (([inside] * 3, "reproduced"), ([inside, outside, inside], "not reproduced")):
        monkeypatch.setattr("latent_ot.report.verdicts.checks", lambda kept=kept: {one.rule.check: kept})
        assert judge(one, []).verdict == verdict
