"""Every kind of rule on made-up records: the effect that it measures, and all three verdicts on it."""

import numpy as np
import pytest

from latent_ot.errors import InputError
from latent_ot.report.contrasts import Region, Row
from latent_ot.report.rules import RULES
from latent_ot.report.series import (
    curve,
    final_over_initial,
    first_at,
    highest_after,
    images_to_settle,
    largest_rise,
    share_slightly_greater,
    smooth,
)
from latent_ot.report.statistics import Interval
from latent_ot.report.verdicts import Claim, judge

OTHER = {"dataset": "celeba64_crop160", "protocol": {"id": "celeba64_crop160/e/n1000", "evaluator": "e", "n": 1000}}
CROP = {"dataset": "celeba64_crop108", "protocol": {"id": "celeba64_crop108/e/n1000", "evaluator": "e", "n": 1000}}
SWEEP = [{"overrides": {"gldo": {"eps": e}}, "config": {"gldo": {"eps": e}}} for e in (1, 10, 100, 1000)]


def along(*ys):
    """A curve of training with equal steps."""
    return [[1000.0 * i, y] for i, y in enumerate(ys, start=1)]


def losses(**series):
    return {"curves": {"loss": series}}


def settling(images):
    return {"curves": {"fid": [[1000.0, 99.0], [images, 10.5], [64000.0, 10.0]]}}


# kind -> (what the claim has beside its rule, the rule, effect -> (method, metrics, changes) of each record of a seed,
# effects that reproduce it, that do not, that leave it open)
KINDS = {
    "better": (
        {},
        ["gldo", "glo"],
        lambda e: [("gldo", {"fid": 50 + e}, {}), ("glo", {"fid": 50}, {})],
        [-5, -6, -4], [5, 6, 4], [-5, 5, 1],
    ),
    "close": (
        {},
        {"a": "gldo", "b": "glo", "within": 3.0},
        lambda e: [("gldo", {"fid": 50 + e}, {}), ("glo", {"fid": 50}, {})],
        [0.5, -0.5, 0.2], [-9, -10, -11], [2.5, 3.5, 2.9],
    ),
    "value": (
        {},
        {"method": "gldo", "v": 20, "rel_tol": 0.5},
        lambda e: [("gldo", {"fid": 20 + e}, {})],
        [1, 2, -1], [20, 21, 22], [9, 11, 10],
    ),
    "bound": (
        {"metric": "modes"},
        {"methods": "gldo", "low": {"mnist": 25}},
        lambda e: [("gldo", {"modes": e}, {})],
        [25, 25, 25], [20, 21, 22], [25, 25, 24],
    ),
    "limits": (
        {"metric": ""},
        {"methods": ["gldo"], "limits": {"spread": 0.2, "shift": 4.0}},
        lambda e: [("gldo", {}, {"facts": {"spread": 0.2 * e, "shift": 0.1}})],
        [0.5, 0.6, 0.7], [3, 3.2, 3.4], [0.9, 1.2, 1.0],
    ),
    "dataset_better": (
        {"datasets": ["celeba64_crop108"]},
        {"methods": ["gldo"], "than": "celeba64_crop160"},
        lambda e: [("gldo", {"fid": 50 + e}, CROP), ("gldo", {"fid": 50}, OTHER)],
        [-5, -6, -4], [5, 6, 4], [-5, 5, 1],
    ),
    "u_shape": (
        {},
        {"method": "gldo", "setting": "gldo.eps", "grid": [1, 10, 100, 1000]},
        lambda e: [("gldo", {"fid": y}, c) for y, c in zip((50 + e, 48, 52, 50 + e), SWEEP, strict=True)],
        [5, 6, 4], [-5, -6, -4], [-5, 5, 1],
    ),
    "faster": (
        {},
        {"a": ["gldo"], "b": "wgan_gp"},
        lambda e: [("gldo", {}, settling(32000.0 + e)), ("wgan_gp", {}, settling(32000.0))],
        [-9000, -8000, -9500], [9000, 8000, 9500], [-9000, 9000, 0],
    ),
    "sooner": (
        {},
        {"a": "gldo", "b": "dcgan", "factor": 10},
        lambda e: [("gldo", {}, settling(6400 + e / 10)), ("dcgan", {}, {"curves": {"fid": [[64000.0, 10.5]]}})],
        [-9000, -8000, -9500], [9000, 8000, 9500], [-9000, 9000, 0],
    ),
    "early": (
        {"metric": "modes"},
        {"a": "gldo", "b": "dcgan"},
        lambda e: [
            ("gldo", {}, {"curves": {"modes": along(9, 10 + e, 25)[1:]}}),
            ("dcgan", {}, {"curves": {"modes": along(20, 10, 0)}}),
        ],
        [5, 6, 4], [-5, -6, -4], [-5, 5, 1],
    ),
    "decreases": (
        {"metric": ""},
        {"method": "gldo", "series": ["x", "y"], "window": 0.2, "slack": 0.05},
        lambda e: [("gldo", {}, losses(x=along(9, 8, 7, 6, 5), y=along(10, 5, 5 * (1 + e), 5, 4)))],
        [0.01, 0.02, 0.03], [0.2, 0.3, 0.4], [0.04, 0.06, 0.05],
    ),
    "slightly_greater": (
        {"metric": ""},
        {"method": "gldo", "a": "x", "b": "y", "gap": 0.3, "share": 0.8},
        lambda e: [("gldo", {}, losses(x=along(*(0.1 + (i >= 10 * e) for i in range(10))), y=along(*[0] * 10)))],
        [1.0, 1.0, 0.9], [0.1, 0.2, 0.0], [0.7, 0.9, 0.8],
    ),
    "falls_to": (
        {"metric": ""},
        {"method": "gldo", "series": "gap", "ratio": 0.2, "window": 0.2},
        lambda e: [("gldo", {}, losses(gap=along(10, 90, 3, 80, 10 * e)))],
        [0.1, 0.12, 0.08], [0.5, 0.6, 0.7], [0.15, 0.25, 0.2],
    ),
    "stays_below": (
        {"metric": ""},
        {"method": "gldo", "series": "d", "threshold": 1.0, "after": 0.4, "window": 0.2},
        lambda e: [("gldo", {}, losses(d=along(99, 98, 0, e, 0)))],
        [0.5, 0.6, 0.4], [3, 4, 5], [0.8, 1.2, 1.0],
    ),
}  # fmt: skip


def claim(kind, rule, **changes):
    base = {"id": "c", "paper": "gldo", "source": "", "statement": "", "metric": "fid", "datasets": ["mnist"]}
    return Claim.build(base | {"paper_holds": "na"} | changes | {kind: rule}, "c")


def judged(record, kind, effects):
    changes, rule, rows, *_ = KINDS[kind]
    records = [record(m, s, values, **c) for s, e in enumerate(effects) for m, values, c in rows(e)]
    return judge(claim(kind, rule, **changes), records)


@pytest.mark.parametrize("verdict", ["reproduced", "not reproduced", "inconclusive"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_measures_its_effect_and_the_interval_decides(record, kind, verdict):
    effects = KINDS[kind][3 + ("reproduced", "not reproduced", "inconclusive").index(verdict)]
    found = judged(record, kind, effects)
    for finding in found.findings:
        assert finding.effect.mean == pytest.approx(np.mean(effects))
        assert finding.effect.n == 3
        assert finding.verdict == verdict


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_is_inconclusive_whatever_the_rule(record, kind):
    assert judged(record, kind, KINDS[kind][3][:1]).verdict == "inconclusive"


def test_every_kind_of_rule_is_tried_here():
    assert KINDS.keys() | {"check"} == RULES.keys()


def test_a_chain_compares_neighbours_and_groups_every_pair():
    rule = RULES["better"](groups=["a", ["b", "c"], "d"])
    figure = claim("better", ["a", "b"]).figure
    labels = [contrast.label for contrast in rule.contrasts(figure, Row.parse, "mnist")]
    assert labels == ["a – b", "a – c", "b – d", "c – d"]


def test_the_excess_over_the_data_is_compared_with_the_published_one_and_data_serve_every_seed(record):
    rule = {"method": "gldo", "v": 0.09, "rel_tol": 0.25, "floor": 0.07}
    runs = [record("gldo", s, {"fid": 0.06 + s / 1000}) for s in range(3)] + [record("data", 0, {"fid": 0.03})]
    (finding,) = judge(claim("value", rule), runs).findings
    assert finding.effect.mean == pytest.approx(0.061 - 0.03 - 0.02)
    assert finding.effect.n == 3
    assert finding.region == Region(-0.0225, 0.0225)
    assert judge(claim("value", rule), runs[:-1]).verdict == "not run"


def test_a_run_that_never_gets_there_counts_only_when_it_has_drawn_too_much_already(record):
    rule = KINDS["sooner"][1]
    slow = {"curves": {"fid": [[8000.0, 90.0], [16000.0, 50.0]]}}
    runs = [record("gldo", s, {}, **slow) for s in range(3)]
    there = {"curves": {"fid": [[64000.0, 10.0]]}}
    found = judge(claim("sooner", rule), runs + [record("dcgan", s, {}, **there) for s in range(3)])
    assert found.findings[0].effect == Interval(10 * 16000 - 64000, 0.0, 3)
    assert found.verdict == "not reproduced"
    far = {"curves": {"fid": [[640000.0, 10.0]]}}
    assert judge(claim("sooner", rule), runs + [record("dcgan", s, {}, **far) for s in range(3)]).verdict == "not run"


@pytest.mark.parametrize(
    ("region", "interval", "verdict"),
    [
        (Region(high=0, strict=True), Interval(-1, 1, 3), "inconclusive"),
        (Region(high=0), Interval(-1, 1, 3), "reproduced"),
        (Region(high=0, strict=True), Interval(0, 0, 3), "inconclusive"),
        (Region(high=0, strict=True), Interval(1, 1, 3), "inconclusive"),
        (Region(high=0, strict=True), Interval(1, 0.99, 3), "not reproduced"),
        (Region(low=25), Interval(25, 0, 3), "reproduced"),
        (Region(-3, 3), Interval(0, 4, 3), "inconclusive"),
        (Region(-3, 3), Interval(-9, 2, 3), "not reproduced"),
        (Region(-3, 3), Interval(0, None, 1), "inconclusive"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(region, interval, verdict):
    assert region.verdict(interval) == verdict


def test_a_row_is_read_as_records_name_it():
    row = Row.parse("ae_ot_gen[ot_gen.batch_size=4096,ae.squash=true,network=fc]")
    assert row.settings == {"ot_gen": {"batch_size": 4096}, "ae": {"squash": True}, "ae_ot_gen": {"network": "fc"}}
    assert str(Row.parse("gldo[eps=5]")) == str(Row.parse("gldo[gldo.eps=5]")) == "gldo[eps=5]"
    assert row.flags.split(" --set ")[1:] == ["ot_gen.batch_size=4096", "ae.squash=true", "ae_ot_gen.network=fc"]
    for bad in ("gldo[eps]", "gldo[", "gldo eps=5", ""):
        with pytest.raises(InputError, match="is not of the form"):
            Row.parse(bad)


def test_a_record_is_of_a_row_by_its_configuration_and_nothing_else_may_be_set(record):
    def run(default, **overrides):
        label = "gldo" + "".join(f"[{k}={v}]" for k, v in overrides.items())
        config = {"gldo": {"eps": default, "lr": 1.0} | overrides}
        return record(label, 0, config=config, overrides={"gldo": overrides} if overrides else {})

    asked, bare = Row.parse("gldo[eps=5]"), Row.parse("gldo")
    assert asked.matches(run(5))  # as a default
    assert asked.matches(run(6, eps=5))
    assert not asked.matches(run(6))
    assert not asked.matches(run(6, eps=5, lr=2.0))
    assert bare.matches(run(6))
    assert not bare.matches(run(6, eps=5))
    assert not asked.matches(record("gldo", 0))  # a configuration without the setting


def test_smoothing_is_the_moving_average():
    ys = np.sin(np.arange(50.0))
    values = list(zip(range(50), ys, strict=True))
    np.testing.assert_allclose(smooth(values, 0.1), np.convolve(ys, np.ones(5) / 5, "valid"), atol=1e-12)
    assert smooth(values, 1e-6) == list(ys)


def test_statistics_of_curves():
    falls = list(enumerate([8.0, 4.0, 2.0, 1.0]))
    assert largest_rise(falls, 0.1) == 0
    assert largest_rise([*falls, (4, 1.5), (5, 0.5), (6, 1.5)], 0.01) == pytest.approx(2.0)
    assert final_over_initial(falls, 0.5) == pytest.approx(1.5 / 6)
    assert final_over_initial([(0, -1.0), (1, 1.0)], 0.5) is None
    assert highest_after(falls, 0.5, 0.1) == 2.0
    assert first_at(falls, 4.0) == 1
    assert first_at(falls, 0.5) is None
    assert images_to_settle(falls, 1.0) == 2
    assert images_to_settle([], 1.0) is None
    assert share_slightly_greater(falls, [(0, 7.9), (1, 4.0), (2, 1.0), (9, 0.0)], 0.3) == pytest.approx(1 / 3)
    assert curve([(0, 1.0), (1, None)]) == []
