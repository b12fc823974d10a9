import itertools

import numpy as np
import ot
import pytest

from latent_ot.transport.divergence import ot_divergence


def gaussian(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_a_sample_is_at_distance_zero_from_itself_in_any_order():
    x = gaussian(200)
    assert ot_divergence(x, x[np.random.default_rng(1).permutation(200)]) == 0.0


def test_a_shift_moves_every_point_by_its_length():
    x = gaussian(100)
    assert ot_divergence(x, x + np.array([3.0, 4.0])) == pytest.approx(5.0, rel=1e-12)


def test_it_is_symmetric():
    x, y = gaussian(60), gaussian(60, seed=1)
    assert ot_divergence(x, y) == pytest.approx(ot_divergence(y, x), rel=1e-12)


def test_on_a_line_sorted_points_are_matched():
    x, y = gaussian(300, 1), 2 * gaussian(300, 1, seed=1)
    expected = np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)).mean()
    assert ot_divergence(x, y) == pytest.approx(expected, rel=1e-12)


def test_agrees_with_all_permutations():
    x, y = gaussian(6), gaussian(6, seed=1)
    best = min(itertools.permutations(range(6)), key=lambda p: ((x - y[list(p)]) ** 2).sum())
    assert ot_divergence(x, y) == pytest.approx(np.linalg.norm(x - y[list(best)], axis=1).mean(), rel=1e-12)


def test_agrees_with_pot():
    x, y = gaussian(400), gaussian(400, seed=1) @ np.diag([2.0, 0.5])
    plan = ot.emd([], [], ot.dist(x, y), numItermax=1_000_000)
    assert ot_divergence(x, y) == pytest.approx(float((plan * ot.dist(x, y, metric="euclidean")).sum()), rel=1e-9)


def test_the_plan_is_that_of_the_squared_cost_even_where_another_is_shorter():
    """For distances themselves leaving 1 in place is as good as shifting everything; squared ones prefer the shift."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]])
    assert ot_divergence(x, y) == 1.5
