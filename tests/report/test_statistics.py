import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latent_ot.report.statistics import best, paired_difference, ranks, t_interval

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
    assert best({"a": a, "noisy": noisy, "worse": worse}, "down", printed) == {"a", "noisy"}


def test_with_one_seed_only_an_equal_printed_value_ties():
    rows = {"a": {0: 1.01}, "b": {0: 1.04}, "c": {0: 1.06}}
    assert best(rows, "down", printed) == {"a", "b"}
    assert best(rows, "up", printed) == {"c"}


def test_nothing_is_best_alone_or_where_no_direction_is_better():
    assert best({"a": {0: 1.0}, "b": {}}, "down", printed) == set()
    assert best({"a": {0: 1.0}, "b": {0: 2.0}}, "none", printed) == set()


def test_ranks_after_a_tie_count_the_rows_above():
    rows = {"a": {0: 1.01}, "b": {0: 1.04}, "c": {0: 1.06}, "d": {0: 0.0, 1: 0.0}, "none": {}}
    assert ranks(rows, "down", printed) == {"d": 1, "a": 2, "b": 3, "c": 4}
    del rows["d"]
    assert ranks(rows, "down", printed) == {"a": 1, "b": 1, "c": 3}
    assert ranks({"a": {0: 1.0}}, "down", printed) == {"a": 1}
    assert ranks({}, "down", printed) == {}
