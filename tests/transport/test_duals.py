import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from latent_ot.transport.duals import duals


def random_cost(n, d=8, seed=0):
    rng = np.random.default_rng(seed)
    return 0.5 * ((rng.normal(size=(n, 1, d)) - rng.normal(size=(1, n, d)) * 2) ** 2).sum(2)


CASES = {
    "squared distances": random_cost(128),
    "one point": np.array([[3.0]]),
    "two points": random_cost(2),
    "tiny": random_cost(100) * 1e-12,
    "huge": random_cost(100) * 1e12,
    "far away": random_cost(100) + 1e4,
    "negative": random_cost(50) - 1e3,
    "equal rows": random_cost(60)[np.arange(60) // 20],
    "integers with many ties": np.random.default_rng(0).integers(0, 3, (80, 80)).astype(float),
    "constant": np.full((20, 20), -7.0),
}


@pytest.mark.parametrize("name", CASES)
def test_no_pair_of_potentials_exceeds_its_cost(name):
    cost = CASES[name]
    u, v = duals(cost)
    assert u.shape == v.shape == (len(cost),)
    assert u.dtype == v.dtype == np.float64
    assert (u[:, None] + v - cost).max() <= 1e-14 * np.abs(cost).max()


@pytest.mark.parametrize("name", CASES)
def test_their_sum_is_the_cost_of_the_best_assignment(name):
    cost = CASES[name]
    u, v = duals(cost)
    best = cost[linear_sum_assignment(cost)].sum()
    assert u.sum() + v.sum() == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_matched_pairs_are_tight(name):
    cost = CASES[name]
    u, v = duals(cost)
    rows, columns = linear_sum_assignment(cost)
    np.testing.assert_allclose(u[rows] + v[columns], cost[rows, columns], rtol=1e-9, atol=1e-9 * np.ptp(cost))


@pytest.mark.parametrize("name", CASES)
def test_a_critic_that_reads_them_off_has_mean_zero(name):
    u, v = duals(CASES[name])
    assert np.concatenate([u, -v]).mean() == pytest.approx(0.0, abs=1e-12 * np.abs(CASES[name]).max())


def test_on_a_line_a_shift_has_the_linear_potential():
    """Moved by 2, y -> -v(y) is 2 y plus a constant; between neighbours at distance h it may stray by h^2 / 2."""
    y = np.linspace(-3, 3, 601)
    _, v = duals(0.5 * (y[:, None] + 2 - y) ** 2)
    np.testing.assert_allclose(-v + v.mean(), 2 * y, atol=600 * 0.01**2 / 2)


def test_rows_and_columns_change_places_with_the_cost():
    cost = random_cost(40)
    u, v = duals(cost)
    v_too, u_too = duals(cost.T)
    assert u.sum() + v.sum() == pytest.approx(u_too.sum() + v_too.sum(), rel=1e-12)
    assert (u_too[:, None] + v_too - cost).max() <= 1e-12
