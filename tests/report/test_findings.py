"""The findings: made-up records of which each rule's answer is known."""

import re
from math import log
from urllib.parse import unquote

import pytest

from latent_ot import leaderboard
from latent_ot.report import page
from latent_ot.report.against import COLUMN, FAR, apart, orders, orders_in, published
from latent_ot.report.beside import places
from latent_ot.report.findings import TOPICS, courses, findings, memorising, training
from latent_ot.report.gains import across, gains, samplers
from latent_ot.report.groups import by_protocol
from latent_ot.report.statements import NAMED, SHOWN, Statement, of_seeds, some, times
from latent_ot.report.statistics import Interval
from latent_ot.published import load_table
from latent_ot.results import add, load

SEEDS = range(3)
SHORT = {"budget": "short", "images_budget": 640000}


@pytest.fixture
def pair(record):
    """Make runs of a representation with a sampler, one for each FID; each seed is a training of its own."""

    def make(representation, sampler, fids, key="", **changes):
        runs = []
        for seed, fid in enumerate(fids):
            first = {"stage": representation, "key": f"{key or representation}{seed}"}
            stages = [first, *({"stage": s, "key": "0" * 16} for s in (sampler, "evaluate"))]
            metrics = {"fid": fid, **changes.get("metrics", {})}
            given = {name: value for name, value in changes.items() if name != "metrics"}
            runs.append(record(f"{representation}+{sampler}", seed, metrics, stages=stages, **given))
        return runs

    return make


def only(records):
    (group,) = by_protocol(records).values()
    return group


def outcomes(records):
    return {(gain.representation, gain.sampler): gain.outcome for gain in gains(only(records))}


def sentences(statements):
    return [statement.sentence for statement in statements]


def test_a_sampler_helps_hurts_or_cannot_be_told_by_the_interval_of_the_ratio(pair):
    runs = [*pair("ae", "gaussian", (4.0, 8.0, 16.0)), *pair("ae", "gmm", (2.0, 4.0, 8.4))]
    runs += [*pair("ae", "normal", (8.1, 16.0, 32.0)), *pair("ae", "flow", (2.0, 16.0, 17.0))]
    assert outcomes(runs) == {("ae", "gmm"): "helps", ("ae", "normal"): "hurts", ("ae", "flow"): "undecided"}
    gmm = next(gain for gain in gains(only(runs)) if gain.sampler == "gmm")
    assert gmm.by.n == 3
    assert gmm.by.mean == pytest.approx((2 * log(2) + log(16 / 8.4)) / 3)  # a ratio, whatever the seeds' own FIDs
    (told,) = [s for s in samplers(runs) if s.sentence.startswith("ae on mnist5k at ci: FID, ")]
    assert "is lower with gmm ÷2.0 (1.8 to 2.1), 3 seeds, and higher with normal ×2.0 (" in told.sentence
    assert told.sentence.endswith("seeds.")
    assert "not clearly either with flow ×" in told.sentence
    assert [run.method for run in told.runs[:2]] == ["ae+normal", "ae+gaussian"]  # what says most, beside its Gaussian


def test_only_runs_of_one_seed_and_one_training_of_the_representation_are_compared(pair):
    alike = [*pair("ae", "gaussian", (4.0, 4.0, 4.0)), *pair("ae", "gmm", (2.0, 2.0, 2.0))]
    other = pair("ae", "flow", (1.0, 1.0, 1.0), key="elsewhere")
    collapsed = pair("ae", "imle", (9.0, 9.0, 9.0), facts={"collapsed": True})
    assert outcomes([*alike, *other, *collapsed]) == {("ae", "gmm"): "helps"}
    assert sentences(samplers([*alike, *other, *collapsed]))[-1] == (
        "Of 3 pairs on mnist5k at ci there are 2 without a Gaussian on the same codes, not told of here."
    )
    assert gains(only([*pair("ae", "gaussian", (4.0,)), *pair("ae", "gmm", (0.0,))])) == []  # no ratio to nothing


def test_equal_values_are_no_gain(pair):
    runs = [*pair("ae", "gaussian", (4.0, 5.0, 6.0)), *pair("ae", "gmm", (4.0, 5.0, 6.0))]
    assert outcomes(runs) == {("ae", "gmm"): "undecided"}


def test_the_interval_is_that_of_sampling_where_it_is_wider(pair):
    wide = {"intervals": {"fid": [1.0, 5.0]}}
    runs = [*pair("ae", "gaussian", (4.0, 4.0, 4.0), **wide), *pair("ae", "gmm", (3.0, 3.0, 3.0), **wide)]
    (gain,) = gains(only(runs))
    assert gain.outcome == "undecided"
    assert gain.by.half == pytest.approx(((2 / 4) ** 2 + (2 / 3) ** 2) ** 0.5 / 3**0.5)


def test_a_gain_by_repeating_training_images_is_no_help_and_one_of_few_seeds_is_not_told(pair, record):
    data = record("data", 0, {"fid": 0.1, "copied": 0.4}, intervals={"copied": [0.35, 0.45]})
    runs = [data, *pair("ae", "gaussian", (4.0,) * 3, metrics={"copied": 0.2})]
    runs += [*pair("ae", "sdot", (0.5,) * 3, metrics={"copied": 0.9}), *pair("ae", "gmm", (2.0, 2.0))]
    assert outcomes(runs) == {("ae", "sdot"): "repeats", ("ae", "gmm"): "few"}
    first, last = sentences(samplers(runs))
    assert "is lower, by repeating training images, with sdot◊ ÷8.0 (8.0 to 8.0), 3 seeds." in first
    assert last == "Of 2 pairs on mnist5k at ci there are 1 at fewer than 3 seeds, not told of here."


def test_where_a_seed_was_lost_nothing_is_decided(pair):
    runs = [*pair("ae", "gaussian", (4.0,) * 4), *pair("ae", "gmm", (2.0,) * 3)]
    lost = runs[-1].model_copy(update={"seed": 3, "status": "diverged", "reason": "loss is NaN", "metrics": {}})
    assert outcomes(runs) == {("ae", "gmm"): "helps"}
    assert outcomes([*runs, lost]) == {("ae", "gmm"): "undecided"}


def test_a_mean_over_representations_counts_each_once_and_leaves_out_what_repeats(pair):
    runs = []
    for name, fid in (("ae", 2.0), ("glo", 1.0), ("vae", 0.5)):
        runs += [*pair(name, "gaussian", (4.0,)), *pair(name, "gmm", (fid,)), *pair(name, "normal", (8.0,))]
    runs += [*pair("ae", "flow", (1.0,)), *pair("glo", "flow", (1.0,))]  # with two only
    means = across(gains(only(runs)))
    assert {name: (by.mean, by.n) for name, by in means.items()} == {
        "gmm": (pytest.approx(log(4)), 3),
        "normal": (pytest.approx(-log(2)), 3),
    }
    first, last = sentences(samplers(runs))
    assert first == (
        "On mnist5k at ci, FID is on average over representations not clearly either with gmm ÷4.0 (0.71 to 22) of 3; "
        "higher with normal ×2.0 (2.0 to 2.0) of 3; at 1 seed each; of 3 of the 6 pairs it is not known whether they "
        "repeat training images."
    ) or first.startswith("On mnist5k at ci, FID is on average over representations higher with normal ×2.0")
    assert last == "Of 8 pairs on mnist5k at ci there are 8 at fewer than 3 seeds, so that none is told of by itself."
