import json

import pytest

from latent_ot.errors import InputError
from latent_ot.report.claims import claims_grid, claims_json, render_claims
from latent_ot.report.published import load_table, stand_ins
from latent_ot.report.quantities import QUANTITIES
from latent_ot.report.verdicts import Claim, claims, judge


def claim(**changes):
    base = {
        "id": "c",
        "paper": "gldo",
        "source": "Table 1",
        "metric": "fid",
        "datasets": ["mnist"],
        "paper_holds": True,
    }
    return Claim.build(
        base | ({} if changes.keys() & {"close", "better_all"} else {"better": ["gldo", "glo"]}) | changes, "c"
    )


def runs(record, gldo, glo, metric="fid", **changes):
    found = [record("gldo", s, {metric: v, "fid": v}, **changes) for s, v in enumerate(gldo)]
    return found + [record("glo", s, {metric: v, "fid": v}, **changes) for s, v in enumerate(glo)]


@pytest.mark.parametrize(
    ("gldo", "glo", "verdict"),
    [
        ([10, 11, 12], [20, 21.5, 22], "reproduced"),
        ([20, 21.5, 22], [10, 11, 12], "not reproduced"),
        ([10, 20, 30], [20, 11, 29], "inconclusive"),
        ([10, 11, 12], [10, 11, 12], "inconclusive"),
        ([10], [20], "inconclusive"),
    ],
)
def test_the_sign_of_the_paired_interval_decides(record, gldo, glo, verdict):
    judged = judge(claim(), runs(record, gldo, glo))
    assert judged.verdict == verdict
    (finding,) = judged.findings
    assert finding.dataset == "mnist5k"
    assert finding.records == tuple(f"mnist5k--{m}--ci--s{s}" for m in ("gldo", "glo") for s in range(len(gldo)))
    assert finding.needs == (() if len(gldo) == 3 else ("3 seeds instead of 1",))


def test_the_direction_is_the_metrics(record):
    assert judge(claim(metric="psnr"), runs(record, [30, 31, 32], [20, 21, 22.5], "psnr")).verdict == "reproduced"


@pytest.mark.parametrize(("gap", "verdict"), [(1.0, "reproduced"), (9.0, "not reproduced"), (3.2, "inconclusive")])
def test_closeness_asks_for_the_whole_interval_within_the_bound(record, gap, verdict):
    found = runs(record, [10, 11, 12], [10 + gap, 11.5 + gap, 11.5 + gap])
    assert judge(claim(close={"a": "gldo", "b": "glo", "within": 3.0}), found).verdict == verdict


def test_every_pair_must_hold_and_one_refuted_pair_refutes(record):
    found = runs(record, [10, 11, 12], [20, 21.5, 22])
    every = claim(better_all={"a": ["gldo"], "b": ["glo", "vae"]})
    assert judge(every, found).verdict == "not run"
    worse = [record("vae", s, {"fid": 5.0 + s}) for s in range(3)]
    assert judge(every, found + worse).verdict == "not reproduced"
    better = [record("vae", s, {"fid": 50.0 + s}) for s in range(3)]
    assert judge(every, found + better).verdict == "reproduced"


def test_runs_of_different_protocols_budgets_or_seeds_are_never_compared(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    for change in ({"protocol": other}, {"budget": "short"}):
        found = [*runs(record, [1, 2, 3], []), *runs(record, [], [4, 5, 6], **change)]
        assert judge(claim(), found).findings[0].needs == ("gldo and glo at one seed, budget and protocol",)
    assert judge(claim(), [record("gldo", 0), record("glo", 1)]).verdict == "not run"


def test_the_data_set_itself_comes_before_a_stand_in_and_an_interval_before_none(record):
    own = {"dataset": "mnist", "protocol": {"id": "mnist/n10000", "evaluator": "mnist", "checksum": "a", "n": 10000}}
    stand_in = runs(record, [20, 21.5, 22], [10, 11, 12])
    assert judge(claim(), stand_in + runs(record, [10, 11, 12], [20, 21.5, 22], **own)).findings[0].dataset == "mnist"
    assert judge(claim(), stand_in + runs(record, [10], [20], **own)).findings[0].dataset == "mnist5k"


def test_what_was_not_run_says_what_it_needs(record):
    assert judge(claim(), []).findings[0].needs == ("gldo", "glo")
    failed = record("gldo", status="diverged", reason="loss is NaN")
    assert judge(claim(), [failed]).findings[0].needs == ("gldo (loss is NaN)", "glo")
    unknown = claim(better=["gldo", "no_such_method"])
    assert judge(unknown, []).findings[0].needs[1] == "no_such_method (not in the suite yet)"


def test_a_run_lost_beside_finished_ones_is_said(record):
    found = [*runs(record, [10, 11], [20, 21.5]), record("glo", 2, status="failed", reason="no memory")]
    assert judge(claim(), found).findings[0].needs == ("3 seeds instead of 2", "glo at seed 2 (failed: no memory)")


def test_a_claim_has_exactly_one_form():
    with pytest.raises(InputError, match="exactly one of better, better_all, close"):
        claim(better=None)


@pytest.mark.parametrize("one", claims(), ids=lambda c: c.id)
def test_paper_holds_agrees_with_the_published_tables(one):
    """Recomputed from the tables' data: a claim of the text that its own table refutes is marked so."""
    assert one.metric in QUANTITIES
    assert set(one.datasets) <= stand_ins().keys()
    tables = [load_table(t) for t in ("gldo-table1", "gldo-table2", "gldo-table4")]
    values = {(c.metric, c.dataset, r.method): r.values[c.key].value for t in tables for c in t.columns for r in t.rows}
    sign = -1 if QUANTITIES[one.metric].direction == "up" else 1
    holds = []
    for dataset in one.datasets:
        for a, b in one.pairs:
            difference = sign * (values[one.metric, dataset, a] - values[one.metric, dataset, b])
            holds.append(abs(difference) <= one.close.within if one.close else difference < 0)
    assert all(holds) == one.paper_holds


def test_claims_are_printed_with_verdict_evidence_and_paper(record, board):
    judged = [judge(claim(), runs(record, [10, 11, 12], [20, 21.5, 22])), judge(claim(id="d", paper_holds=False), [])]
    grid = claims_grid(judged)
    assert grid.header[0] == "2 claims: 1 reproduced, 1 not run, 0 inconclusive, 0 not reproduced"
    texts = [[cell.text for cell in row] for row in grid.rows]
    assert texts[0][:5] == ["c", "gldo better than glo in FID", "hold", "mnist", "reproduced"]
    assert texts[0][5] == "gldo – glo: -10.167 ± 0.717 (mnist5k, ci, 3 seeds)"
    assert texts[1][2:] == ["do not hold", "mnist", "not run", "needs gldo, glo"]
    rows = json.loads(claims_json(judged))
    assert rows[0]["verdict"] == "reproduced"
    assert len(rows[0]["findings"][0]["records"]) == 6
    assert json.loads(render_claims(board(), "json"))[0]["verdict"] == "not run"
    assert render_claims(board(), "text").startswith("Claims\n")
