"""The papers' claims as they stand, the verdicts on them, and how these are printed."""

import json
import re
import shlex

import pytest
import yaml
from scipy import stats

from latent_ot.bench.settings import parse_overrides
from latent_ot.budgets import benchmarks
from latent_ot.claims import Claim, claims, difference
from latent_ot.datasets import celeba, celeba_hq, lsun_bedroom, toy
from latent_ot.errors import InputError
from latent_ot.published import load_table, published_sets, stand_ins, table_names
from latent_ot.report.claims import claims_grid, claims_json, render_claims
from latent_ot.report.marks import COLLAPSED
from latent_ot.report.verdicts import SMALL, commands, judge, smaller

COUNTS = {"gldo": 35, "aeotgan": 16, "otgen": 16, "iwgan": 10, "sdkl": 12}
CONTROLS = {"aeotgan-c01b", "aeotgan-c07b"}  # of ours, beside the claims that they are named after
IDS = {"gldo-c08b"} | CONTROLS | {f"{paper}-c{i:02}" for paper, n in COUNTS.items() for i in range(1, n + 1)}
"""Frozen: what the five papers claim does not change."""
FILES = [(benchmarks() / "claims" / f"{paper}.yaml").read_text() for paper in COUNTS]
GIVEN = {row["id"]: row["datasets"] for text in FILES for row in yaml.safe_load(text)}


def claim(**changes):
    base = {"id": "c", "paper": "gldo", "source": "Table 1", "statement": "GLDO is better", "metric": "fid"}
    base |= {"datasets": ["mnist"], "paper_holds": True}
    return Claim.build(base | ({} if "rule" in changes else {"better": ["gldo", "glo"]}) | changes, "c")


OWN = {"dataset": "mnist", "budget": "paper", "images_budget": 12_000_000, "width": 1.0}
OWN |= {"protocol": {"id": "mnist/mnist-1a2b3c4d/n10000", "evaluator": "mnist", "checksum": "a", "n": 10000}}
"""What makes a record one of the paper's own data set, length and width."""


def runs(record, gldo, glo, metric="fid", **changes):
    found = [record("gldo", s, {metric: v, "fid": v}, **changes) for s, v in enumerate(gldo)]
    return found + [record("glo", s, {metric: v, "fid": v}, **changes) for s, v in enumerate(glo)]


def test_every_claim_of_the_five_papers_is_there():
    assert len(IDS) == 92
    assert sorted(c.id for c in claims()) == sorted(IDS)


@pytest.mark.parametrize("one", claims(), ids=lambda c: c.id)
def test_a_claim_is_complete(one):
    assert one.id.startswith(one.paper)
    assert all((one.statement, one.source, one.rule.words))
    assert "\n" not in one.statement + (one.note or "")
    if not one.rule.check:
        assert {place.dataset for place in one.datasets} <= stand_ins().keys()
        assert all(f.needs for f in judge(one, []).findings)


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
    assert judge(claim(), runs(record, gldo, glo, **OWN)).verdict == verdict
    judged = judge(claim(), runs(record, gldo, glo))
    assert judged.verdict == SMALL.get(verdict, verdict)
    (finding,) = judged.findings
    assert finding.group.dataset == "mnist5k"
    assert finding.runs == tuple(runs(record, gldo, glo))
    assert finding.needs == (() if len(gldo) == 3 else ("3 seeds instead of 1",))


def test_the_interval_is_that_of_a_paired_t_test(record):
    a, b = [10.0, 13.0, 12.5, 11.0], [20.0, 21.5, 22.0, 19.0]
    (finding,) = judge(claim(), runs(record, a, b)).findings
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert finding.effect.low == pytest.approx(expected.low)
    assert finding.effect.high == pytest.approx(expected.high)


def test_the_direction_is_the_metrics_or_the_claims(record):
    for one in (claim(metric="psnr"), claim(metric="sharpness", direction="up")):
        found = runs(record, [30, 31, 32], [20, 21, 22.5], one.rule.metric, **OWN)
        assert judge(one, found).verdict == "reproduced"


def test_facts_and_the_ends_of_curves_are_figures_too(record):
    def run(method, seed, flat, kl):
        return record(method, seed, facts={"flat": flat}, curves={"loss": {"kl": [[32000, 99.0], [64000, kl]]}})

    found = [run("gldo", s, 1.0 + s / 10, 5.0) for s in range(3)] + [run("glo", s, 3.0, 4.0 - s / 10) for s in range(3)]
    assert judge(claim(metric="flat", direction="down"), found).findings[0].effect.mean == pytest.approx(-1.9)
    assert judge(claim(metric="loss.kl", direction="up"), found).findings[0].effect.mean == pytest.approx(1.1)


def test_how_much_smaller_a_run_was_is_said_and_what_would_settle_the_claim(record):
    change = {"data": {"shape": [1, 32, 32], "train": 4000}}
    judged = judge(claim(), runs(record, [10, 11, 12], [20, 21.5, 22], **change))
    less = ("4,000 of 60,000 training images (1/15)", "64,000 of 12,000,000 images drawn (1/188)", "width 0.5")
    (finding,) = judged.findings
    assert finding.smaller == less
    assert "; ".join(less) in claims_grid([judged]).rows[0][5].text
    assert json.loads(claims_json([judged]))[0]["findings"][0]["smaller"] == list(less)
    wanted = "latent-ot bench --dataset mnist --methods 'gldo glo' --seeds '0 1 2' --budget paper"
    assert commands([finding]) == [wanted]
    assert smaller(record("gldo", **OWN), "mnist", "gldo") == ()
    assert smaller(record("gldo", **OWN | {"budget": "longer", "images_budget": 10**9}), "mnist", "gldo") == ()
    assert smaller(record("gldo", **OWN), "mnist", "aeotgan") == ("12,000,000 of 30,000,000 images drawn (1/2.5)",)
    part = OWN | {"dataset": "mnist_10k", "images_budget": 2_000_000}
    assert smaller(record("gldo", **part), "mnist", "gldo")[0] == "mnist_10k for mnist"


def test_nothing_is_compared_with_a_run_whose_samples_have_collapsed(record):
    bad = {"facts": {"collapsed": True}}
    gldo = [record("gldo", s, {"fid": 10.0 + s}, **OWN) for s in range(3)]
    glo = [record("glo", s, {"fid": 90.0}, **OWN | bad) for s in range(3)]
    judged = judge(claim(), gldo + glo)
    assert judged.verdict == "inconclusive"
    (finding,) = judged.findings
    assert finding.effect is None
    assert finding.refused == tuple(glo)
    text = claims_grid([judged]).rows[0][5].text
    assert text.startswith(f"not compared with glo seeds 0, 1, 2; glo seeds 0, 1, 2: {COLLAPSED}")
    plain = json.loads(claims_json([judged]))[0]["findings"][0]
    assert plain["refused"] == plain["marks"][COLLAPSED] == [run.stem for run in glo]
    assert not judged.rests_on()

    two = judge(claim(), [*gldo, glo[0], *(record("glo", s, {"fid": 20.5 + s / 2}, **OWN) for s in (1, 2))])
    assert two.verdict == "reproduced"  # by the seeds that have not
    assert two.findings[0].effect.n == 2
    assert two.findings[0].refused == (glo[0],)
    alone = claim(rule={"rows": [["glo"]], "low": 50})
    assert judge(alone, glo).verdict == "reproduced"  # what is said of a run alone is of that run, collapsed or not


def test_marks_of_a_record_stand_beside_the_verdict(record, monkeypatch):
    monkeypatch.setattr(
        "latent_ot.report.claims.said_against", lambda run, keys: ["its search went on"] * (run.method == "glo")
    )
    judged = judge(claim(), runs(record, [10, 11, 12], [20, 21.5, 22], **OWN))
    assert "glo seeds 0, 1, 2: its search went on" in claims_grid([judged]).rows[0][5].text
    assert judged.verdict == "reproduced"


def test_further_seeds_are_asked_for_as_the_first_ones_were_run(record):
    command = "latent-ot bench --dataset mnist --methods gldo --seeds 0 --budget ci --subset 10000 --evaluator cifar10"
    place = {"dataset": "mnist_10k", "threads": 4, "devices": 2, "command": command}
    (finding,) = judge(claim(), runs(record, [10], [20], **place)).findings
    wanted = "latent-ot bench --dataset mnist --methods 'gldo glo' --seeds '0 1 2' --budget ci"
    assert commands([finding]) == [f"{wanted} --subset 10000 --evaluator cifar10 --threads 4 --devices-per-run 2"]


def test_rows_are_those_of_the_papers_table():
    """Where a paper has a table of a claim's data set, its rows are run as that table has them."""
    for one in (c for c in claims() if c.rule.rows):
        shown = {c.dataset for t in map(load_table, table_names()) if t.paper == one.paper for c in t.columns}
        for place, given in zip(one.datasets, GIVEN[one.id], strict=True):
            set_by_hand = all(row.settings for rows in one.rule.rows for row in rows)
            assert "/" in given or place.dataset not in shown or set_by_hand, f"{one.id}: {given}"


def test_a_row_is_what_the_table_runs_for_the_row_of_that_name(monkeypatch):
    spec = load_table("gldo-table1")
    rows = [row if row.label != "GLDO" else row.model_copy(update={"method": "gldo_p"}) for row in spec.rows]
    changed = spec.model_copy(update={"rows": tuple(rows)})
    monkeypatch.setattr("latent_ot.claims.load_table", lambda table: changed)
    one = claim(datasets=["gldo-table1/mnist_fid"], better=["gldo[eps=2]", "wae_mmd"])
    assert [str(one.datasets[0].row(row)) for row in one.rule.rows[0]] == ["gldo_p[gldo.eps=2]", "wae_mmd"]


def test_published_data_sets_have_the_size_of_ours():
    assert {n: s.train for n, s in published_sets().items() if n.startswith("celeba64")} == dict.fromkeys(
        [n for n in published_sets() if n.startswith("celeba64")], celeba.WHOLE["train"]
    )
    assert published_sets()["lsun_bedroom64"].train == lsun_bedroom.WHOLE - lsun_bedroom.TEST
    assert published_sets()["celeba_hq256"].train == celeba_hq.WHOLE - celeba_hq.TEST
    points = {name for name, known in published_sets().items() if known.kind == "points"}
    assert {published_sets()[name].train for name in points} == {toy.COUNTS["train"]}
    assert points == set(toy.SHAPES)


def test_every_pair_must_hold_and_one_refuted_pair_refutes(record):
    found = runs(record, [10, 11, 12], [20, 21.5, 22], **OWN)
    every = claim(better=["gldo", ["glo", "vae"]])
    assert judge(every, found).verdict == "not run"
    for fid, verdict in ((5.0, "not reproduced"), (50.0, "reproduced")):
        assert judge(every, found + [record("vae", s, {"fid": fid + s}, **OWN) for s in range(3)]).verdict == verdict


def test_runs_of_different_protocols_budgets_or_seeds_are_never_compared(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    for change in ({"protocol": other}, {"budget": "short"}):
        found = [*runs(record, [1, 2, 3], []), *runs(record, [], [4, 5, 6], **change)]
        assert judge(claim(), found).findings[0].needs == ("gldo and glo at one seed, budget and protocol",)
    assert judge(claim(), [record("gldo", 0), record("glo", 1)]).verdict == "not run"


def test_an_evaluator_that_a_claim_asks_for_is_heeded(record, raw):
    own = runs(record, [10, 11, 12], [20, 21.5, 22])
    inception = raw()["protocol"] | {"id": "mnist5k/inception/n1000", "evaluator": "inception"}
    other = runs(record, [20, 21.5, 22], [10, 11, 12], protocol=inception)
    assert judge(claim(evaluator="own"), own + other).verdict == "agrees at small scale"
    assert judge(claim(evaluator="inception"), own + other).verdict == "disagrees at small scale"
    assert "--evaluator inception" in commands(judge(claim(evaluator="inception"), []).findings)[0]


def test_the_data_set_itself_comes_before_a_stand_in_and_an_interval_before_none(record):
    stand_in = runs(record, [20, 21.5, 22], [10, 11, 12])
    for gldo, glo, dataset in (([10, 11, 12], [20, 21.5, 22], "mnist"), ([10], [20], "mnist5k")):
        assert judge(claim(), stand_in + runs(record, gldo, glo, **OWN)).findings[0].group.dataset == dataset


def test_rows_of_a_tables_column_have_its_settings(record):
    place = OWN | {"dataset": "cifar10", "protocol": {"id": "cifar10/e/n10", "evaluator": "e", "n": 10}}
    two = claim(datasets=["aeotgan-table1/cifar_std", "aeotgan-table1/cifar_res"], better=["ae_ot_sd", "pggan"])
    assert [p.name for p in two.datasets] == ["CIFAR-10, standard", "CIFAR-10, ResNet"]
    assert judge(two, []).findings[1].label == "ae_ot_sd[ae.network=sngan_resnet] – pggan"
    sets = {"overrides": {"ae": {"network": "sngan_resnet"}}, "config": {"ae": {"network": "sngan_resnet"}}}
    found = [record("pggan", s, {"fid": 20.0}, **place) for s in range(3)]
    found += [record("ae_ot_sd[ae.network=sngan_resnet]", s, {"fid": 10.0 + s}, **place, **sets) for s in range(3)]
    assert [f.verdict for f in judge(two, found).findings] == ["not run", "reproduced"]
    with pytest.raises(InputError, match="nearest: cifar_res"):
        claim(datasets=["aeotgan-table1/cifar_rse"])


def test_what_was_not_run_says_what_it_needs_and_how_to_run_it(record):
    (finding,) = judge(claim(), []).findings
    assert finding.needs == ("gldo", "glo")
    assert commands([finding]) == [
        "latent-ot bench --dataset mnist --methods 'gldo glo' --seeds '0 1 2' --budget paper"
    ]
    failed = record("gldo", status="diverged", reason="loss is NaN")
    assert judge(claim(), [failed]).findings[0].needs == ("gldo (loss is NaN)", "glo")
    (unmeasured,) = judge(claim(metric="gloss", direction="up"), []).findings
    assert unmeasured.needs[2] == "the figure gloss (in no record yet)"


def test_a_command_gives_rows_their_settings_one_command_for_equal_ones(record):
    two = claim(better=["gldo[eps=2]", ["glo", "vae", "glo[gldo.eps=2]"]])
    lines = commands(judge(two, []).findings)
    assert [shlex.split(line)[5] for line in lines] == ["gldo glo", "glo vae"]
    words = shlex.split(lines[0])
    assert parse_overrides([words[i + 1] for i, w in enumerate(words) if w == "--set"]) == {"gldo": {"eps": 2}}


def test_a_run_lost_beside_finished_ones_is_said_and_missing_seeds_have_a_command(record):
    found = [*runs(record, [10, 11], [20, 21.5]), record("glo", 2, status="failed", reason="no memory")]
    (finding,) = judge(claim(), found).findings
    assert finding.needs == ("3 seeds instead of 2", "glo at seed 2 (failed: no memory)")
    assert commands([finding]) == ["latent-ot bench --dataset mnist5k --methods 'gldo glo' --seeds '0 1 2' --budget ci"]


def test_a_check_is_judged_by_what_it_gave(monkeypatch):
    one = claim(datasets=["any"], rule={"check": "x", "high": 1.0})
    outcomes = {"reproduced": (0.5, 0.9, 1.0), "inconclusive": (0.5,), "not reproduced": (0.5, 0.51, 1.1)}
    for verdict, values in outcomes.items():
        monkeypatch.setattr("latent_ot.report.verdicts.checks", lambda values=values: {"x": values})
        assert judge(one, []).verdict == verdict


def printed(one, place, method):
    """The paper's number for a row, from the table that the claim is about; None if it prints none."""
    tables = [load_table(t) for t in table_names() if load_table(t).paper == one.paper]
    table, _, key = place.partition("/")
    asked = [t for t in tables if t.id == table or t.place in re.split(r" and |, ", one.source)]
    for spec in asked or tables:
        for column in spec.columns:
            here = column.key == key if key else column.dataset == place
            for row in spec.rows:
                if here and column.metric == one.rule.metric and row.method == method and column.key in row.values:
                    return row.values[column.key].value
    return None


@pytest.mark.parametrize("one", claims(), ids=lambda c: c.id)
def test_paper_holds_agrees_with_the_published_tables(one):
    """Recomputed from the tables' data: a claim of the text that its own table refutes is marked so."""
    held, rule = [], one.rule
    for place, given in zip(one.datasets, GIVEN[one.id], strict=True):
        for rows in rule.rows if rule.effect.func is difference and not rule.curves + rule.figures else ():
            asked = [place.row(row).method for row in rows if not row.settings and not row.dataset]
            values = [printed(one, given, method) for method in asked]
            if len(values) == len(rows) and None not in values:
                held.append(rule.region(place.dataset).holds(rule.effect(*values)))
    if held:
        assert all(held) == one.paper_holds
    else:
        assert rule.check or one.paper_holds != "partial"


def test_claims_are_printed_with_verdict_evidence_and_paper(record):
    found = runs(record, [10, 11, 12], [20, 21.5, 22], **OWN)
    judged = [
        judge(claim(), found),
        judge(claim(id="d", paper_holds=False, note="so it is"), []),
        judge(claim(id="e", paper_holds="na", better=["gldo", ["glo", "vae"]]), [found[0], found[3]]),
    ]
    grid = claims_grid(judged)
    assert grid.header[0] == (
        "3 claims: 1 reproduced, 0 agrees at small scale, 1 not run, 1 inconclusive, 0 disagrees at small scale, "
        "0 not reproduced"
    )
    texts = [[cell.text for cell in row] for row in grid.rows]
    assert texts[0][:5] == ["c", "GLDO is better", "hold", "mnist", "reproduced"]
    assert texts[0][5] == "gldo – glo: -10.167 ± 0.717 (mnist, paper, 3 seeds)"
    assert texts[1][2:5] == ["do not hold", "mnist", "not run"]
    assert texts[1][5].startswith("needs gldo, glo; `latent-ot bench --dataset mnist")
    assert texts[2][2] == "not printed"
    assert texts[2][5].startswith("of 2 contrasts 1 inconclusive, 1 not run; needs 3 seeds instead of 1, vae; `latent")
    assert grid.notes[1] == "d (Table 1): FID: gldo below glo; so it is"
    first = json.loads(claims_json(judged))[0]
    assert first["verdict"] == "reproduced"
    assert first["rule"] == "FID: gldo below glo"
    (finding,) = first["findings"]
    assert finding["effect"] == pytest.approx({"mean": -10.166667, "low": -10.883783, "high": -9.4495506, "seeds": 3})
    assert finding["claimed"] == {"low": None, "high": 0.0}
    assert finding["records"] == [run.stem for run in found]
    empty = json.loads(render_claims([], "json"))
    assert {row["verdict"] for row in empty if not any(f["check"] for f in row["findings"])} == {"not run"}
    assert render_claims([], "text").startswith("Claims\n")
