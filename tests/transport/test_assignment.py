import itertools

import numpy as np
import ot
import pytest
import torch
from driving import seeded
from scipy.optimize import linear_sum_assignment

from latent_ot.transport.assignment import assign, potentials


def cloud(n, d, seed=0, scale=1.0, shift=0.0):
    return scale * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64) + shift


def uniform(n, d, seed=0):
    return 2 * torch.rand(n, d, generator=seeded(seed), dtype=torch.float64) - 1


def distances(x, y):
    """Squared distances without the cancellation of a matrix product."""
    return (x[:, None] - y).square().sum(dim=2).numpy()


def cost(x, y, s):
    return float((x - y[s]).square().sum())


def is_permutation(s):
    return s.dtype == torch.int64 and torch.equal(s.sort().values, torch.arange(len(s)))


CLOUDS = {
    "near": (cloud(150, 5), cloud(150, 5, seed=1)),
    "far apart": (uniform(150, 5), cloud(150, 5, seed=1, scale=30.0, shift=100.0)),
    "stretched": (uniform(200, 2), cloud(200, 2, seed=1) @ torch.tensor([[1.0, 0.9], [0.0, 0.01]]).double()),
    "few points for the dimension": (uniform(40, 64), cloud(40, 64, seed=1)),
    "a constant dimension": (uniform(100, 3), cloud(100, 3, seed=1) * torch.tensor([1.0, 0.0, 1.0]).double() + 7),
    "tiny": (1e-9 * cloud(100, 4), 1e-9 * cloud(100, 4, seed=1)),
    "tiny against large": (1e-6 * cloud(100, 4), cloud(100, 4, seed=1, scale=1e6)),
    "near to the codes themselves": (cloud(100, 4).flip(0) + 1e-6 * cloud(100, 4, seed=2), cloud(100, 4)),
    "far from the origin": (cloud(100, 4, scale=0.01, shift=1e6), cloud(100, 4, seed=1, scale=0.01, shift=1e6)),
    "small but for an outlier": tuple(torch.cat([1e-5 * cloud(99, 3, seed=k), torch.ones(1, 3)]) for k in (0, 1)),
    "duplicates": (cloud(20, 3).repeat(5, 1), cloud(10, 3, seed=1).repeat(10, 1)),
    "all alike": (torch.ones(9, 3).double(), cloud(9, 3, seed=1)),
    "both all alike": (torch.ones(9, 3).double(), torch.zeros(9, 3).double()),
}


@pytest.mark.parametrize("case", CLOUDS)
def test_the_cost_is_that_of_scipy_and_pot(case):
    x, y = CLOUDS[case]
    s = assign(x, y)
    squared = distances(x, y)
    assert is_permutation(s)
    rows, columns = linear_sum_assignment(squared)
    assert cost(x, y, s) == pytest.approx(float(squared[rows, columns].sum()), rel=1e-9)
    scale = squared.max() or 1.0  # the network simplex has absolute tolerances
    plan = ot.emd([], [], squared / scale, numItermax=10**7)
    assert cost(x, y, s) == pytest.approx(float((plan * squared).sum()) * len(x), rel=1e-9)


def test_a_thousand_points_in_64_dimensions_agree_with_scipy():
    x, y = uniform(1000, 64), cloud(1000, 64, seed=1)
    squared = ((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T).numpy()
    assert torch.equal(assign(x, y), torch.from_numpy(linear_sum_assignment(squared)[1]))


def test_agrees_with_all_permutations():
    x, y = cloud(6, 2), cloud(6, 2, seed=1)
    best = min(itertools.permutations(range(6)), key=lambda p: cost(x, y, list(p)))
    assert assign(x, y).tolist() == list(best)


def test_on_a_line_sorted_points_are_matched():
    x, y = cloud(300, 1), cloud(300, 1, seed=1, scale=3.0, shift=-2.0)
    assert torch.equal(y[assign(x, y)].squeeze().argsort(), x.squeeze().argsort())


def test_a_single_point_goes_to_the_other():
    assert assign(cloud(1, 3), cloud(1, 3, seed=1)).tolist() == [0]


def test_permuted_points_keep_their_partners():
    x, y = uniform(200, 8), cloud(200, 8, seed=1)
    s, p, q = assign(x, y), torch.randperm(200, generator=seeded(2)), torch.randperm(200, generator=seeded(3))
    assert torch.equal(q[assign(x[p], y[q])], s[p])


def test_shifts_and_scales_of_either_cloud_change_nothing():
    x, y = uniform(200, 8), cloud(200, 8, seed=1)
    assert torch.equal(assign(x, y), assign(1e-4 * x - 3, 1e3 * y + 50))
    assert torch.equal(assign(x, y), assign(1e-30 * x, 1e30 * y))


def test_a_gradient_of_a_convex_function_is_its_own_best_bijection():
    x = uniform(300, 4)
    y = x @ torch.diag(torch.tensor([0.1, 1.0, 5.0, 2.0]).double()) + 0.3 * x**3
    assert torch.equal(assign(x, y), torch.arange(300))


def test_no_gradient_passes_and_single_precision_is_raised():
    x, y = uniform(50, 3).float().requires_grad_(), cloud(50, 3, seed=1).float().requires_grad_()
    s = assign(x, y)
    assert not s.requires_grad
    assert torch.equal(s, assign(x.detach().double(), y.detach().double()))


@pytest.mark.parametrize(("n", "d"), [(200, 3), (20, 8)])
def test_the_potentials_never_exceed_a_cost(n, d):
    """a_i + b_j - 2 <x_i, y_j> is a squared length, so that it can start a solver from feasible duals."""
    x, y = (v - v.mean(0) for v in (uniform(n, d).numpy(), cloud(n, d, seed=1).numpy() * np.arange(1, d + 1)))
    a, b = potentials(x, y)
    assert (a[:, None] + b - 2 * x @ y.T).min() >= -1e-9 * a.max()


def test_the_potentials_are_optimal_for_a_linear_map():
    x = cloud(200, 3).numpy()
    x -= x.mean(0)
    y = x @ np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.5]])
    a, b = potentials(x, y)
    gaps = a[:, None] + b - 2 * x @ y.T
    assert abs(gaps.diagonal()).max() < 1e-4 * gaps.max()
