import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from latent_ot.quantities import QUANTITIES
from latent_ot.report.statistics import (
    Comparison,
    Interval,
    paired_difference,
    prediction,
    sampled,
    spread,
    t_interval,
)

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


def printed(value):
    return f"{value:.1f}"


@given(VALUES)
def test_the_interval_is_scipys_student_t(values):
    found = t_interval(values)
    scale = stats.sem(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    half = stats.t.ppf(0.975, len(values) - 1) * scale
    assert found.half == pytest.approx(half, rel=1e-9, abs=1e-12)


def test_one_value_has_no_interval():
    found = t_interval([3.0])
    assert (found.mean, found.half, found.n) == (3.0, None, 1)
    assert found.low == -np.inf
    assert found.high == np.inf


@settings(deadline=None)  # the first call imports scipy's quantiles
@given(VALUES)
def test_a_further_value_lies_wider_than_the_mean_by_its_own_spread(values):
    low, high = prediction([[value] for value in values], 0.95)
    found, n = t_interval(values), len(values)
    assert (low + high) / 2 == pytest.approx(found.mean, abs=1e-9)
    assert (high - low) / 2 == pytest.approx(found.half * np.sqrt(n + 1), rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(VALUES)
def test_values_of_one_group_count_once(values):
    once = prediction([[value] for value in values], 0.999)
    assert prediction([[value, value] for value in values], 0.999) == pytest.approx(once, rel=1e-9, abs=1e-6)


@given(VALUES, st.floats(-100, 100))
def test_pairing_cancels_what_the_seeds_share(values, shift):
    b = dict(enumerate(values))
    found = paired_difference({seed: value + shift for seed, value in b.items()}, b)
    assert found is not None
    assert found.mean == pytest.approx(shift, abs=1e-9)
    assert found.half == pytest.approx(0.0, abs=1e-9)


def test_pairing_agrees_with_the_paired_t_test_of_scipy():
    a, b = [1.0, 2.5, 3.0, 4.4], [0.5, 2.0, 3.5, 3.0]
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    ours = paired_difference(dict(enumerate(a)), dict(enumerate(b)))
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_only_common_seeds_are_paired():
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    found = paired_difference({0: 1.0, 1: 5.0}, {1: 3.0, 2: 9.0})
    assert found is not None
    assert (found.mean, found.half, found.n) == (2.0, None, 1)


def test_with_seeds_a_row_ties_when_the_paired_interval_contains_zero():
    a, noisy, worse = {0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.5, 1: 1.9, 2: 3.4}, {0: 1.5, 1: 2.5, 2: 3.5}
    assert Comparison({"a": a, "noisy": noisy, "worse": worse}, "down", printed).best == {"a", "noisy"}


def test_with_one_seed_only_an_equal_printed_value_ties():
    rows = {"a": {0: 1.01}, "b": {0: 1.04}, "c": {0: 1.06}}
    assert Comparison(rows, "down", printed).best == {"a", "b"}
    assert Comparison(rows, "up", printed).best == {"c"}


def test_nothing_is_best_alone_or_where_no_direction_is_better():
    assert Comparison({"a": {0: 1.0}, "b": {}}, "down", printed).best == set()
    assert Comparison({"a": {0: 1.0}, "b": {0: 2.0}}, "none", printed).best == set()


def test_ranks_after_a_tie_count_the_rows_above():
    rows = {"a": {0: 1.01}, "b": {0: 1.04}, "c": {0: 1.06}, "d": {0: 0.0, 1: 0.0}, "none": {}}
    assert Comparison(rows, "down", printed).ranks == {"d": 1, "a": 2, "b": 3, "c": 4}
    del rows["d"]
    assert Comparison(rows, "down", printed).ranks == {"a": 1, "b": 1, "c": 3}
    assert Comparison({"a": {0: 1.0}}, "down", printed).ranks == {"a": 1}
    assert Comparison({}, "down", printed).ranks == {}


def test_the_interval_of_a_mean_over_seeds_falls_as_their_draws_are_independent():
    assert sampled({0: 0.3}) == pytest.approx(0.3)
    assert sampled({0: 0.3, 1: 0.4}) == pytest.approx(0.25)
    assert sampled(dict.fromkeys(range(4), 0.2)) == pytest.approx(0.1)
    assert sampled({0: 0.3, 1: None}) is None
    assert sampled({}) is None


def test_with_one_seed_rows_tie_within_the_interval_of_two_draws():
    rows = {"a": {0: 1.0}, "b": {0: 1.4}, "c": {0: 1.6}}
    halves = {name: {0: 0.3} for name in rows}  # of a difference: 0.42
    assert Comparison(rows, "down", printed, halves=halves).best == {"a", "b"}
    assert Comparison(rows, "down", printed, halves=halves).ranks == {"a": 1, "b": 1, "c": 3}
    assert Comparison(rows, "down", printed).best == {"a"}
    del halves["c"]  # that of c is not known
    assert Comparison(rows, "down", printed, halves=halves).best == {"a", "b"}
    rows, halves = {"a": {0: 1.01}, "b": {0: 1.04}}, {"a": {0: 0.0}, "b": {0: 0.0}}
    assert Comparison(rows, "down", printed, halves=halves).best == {"a", "b"}


def test_with_seeds_the_wider_of_both_intervals_decides():
    a, always_worse = {0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.5, 1: 2.5, 2: 3.5}
    wide, narrow = (dict.fromkeys(("a", "b"), dict.fromkeys(range(3), half)) for half in (0.7, 0.5))
    rows = {"a": a, "b": always_worse}
    assert Comparison(rows, "down", printed).best == {"a"}
    assert Comparison(rows, "down", printed, halves=wide).best == {"a", "b"}  # 0.7 (2 / 3)^(1/2) = 0.57
    assert Comparison(rows, "down", printed, halves=narrow).best == {"a"}  # 0.41


def test_a_spread_shows_the_wider_interval_with_two_digits_of_it():
    fid, is_ = QUANTITIES["fid"], QUANTITIES["is"]
    assert spread(fid, Interval(5.1342, None, 1), sampling=0.314) == "5.13 ± 0.31"
    assert spread(fid, Interval(5.1342, 0.02, 3), sampling=0.314) == "5.13 ± 0.31"
    assert spread(fid, Interval(5.1342, 0.0123456, 3), sampling=0.001) == "5.134 ± 0.012"
    assert spread(fid, Interval(5.1342, None, 1), sampling=0.00001) == "5.134 ± 0.000"
    assert spread(fid, Interval(2345.6, None, 1), sampling=123.4) == "2,346 ± 123"
    assert spread(is_, Interval(9.4, None, 1), sampling=0.0) == "9.40 ± 0.00"
    assert spread(QUANTITIES["kid"], Interval(0.01234, None, 1), sampling=0.0032) == "12.3 ± 3.2"
    assert spread(fid, Interval(5.1342, None, 1)) == "5.134 ± –"
