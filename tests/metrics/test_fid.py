import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from latent_ot.metrics import fid as module
from latent_ot.metrics.fid import Moments, fid


def gaussians(n, d, seed, decay=0.5, mix=None):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64) * torch.arange(1, d + 1) ** -decay
    return x if mix is None else x @ mix


def by_square_root(x, y):
    s, t = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    gap = x.mean(0) - y.mean(0)
    return float(gap @ gap) + np.trace(s) + np.trace(t) - 2 * np.trace(scipy.linalg.sqrtm(s @ t)).real


@pytest.mark.parametrize(("n", "d"), [(500, 32), (20, 64), (64, 64)])
def test_distance_of_a_set_to_itself_is_zero(n, d):
    x = gaussians(n, d, 0)
    assert fid(x, x) < 1e-12


def test_a_shift_costs_its_squared_length():
    x, shift = gaussians(300, 16, 0), torch.linspace(-1, 1, 16, dtype=torch.float64)
    assert fid(x, x + shift) == pytest.approx(float(shift @ shift), rel=1e-11)


@pytest.mark.parametrize(("n", "d"), [(300, 16), (10, 40)])
def test_scaling_by_c_costs_the_square_of_c_minus_one_times_the_variance(n, d):
    x = gaussians(n, d, 0)
    x = x - x.mean(0)
    assert fid(x, 1.5 * x) == pytest.approx(0.25 * float(x.var(0).sum()), rel=1e-11)


def test_commuting_covariances_cost_the_squared_difference_of_their_roots():
    g = torch.Generator().manual_seed(1)
    white = torch.linalg.qr(torch.randn(200, 9, generator=g, dtype=torch.float64))[0]
    white = torch.linalg.qr(white - white.mean(0))[0] * 199**0.5  # exactly zero mean, unit covariance
    a, b = torch.rand(2, 9, generator=g, dtype=torch.float64)
    assert fid(white * a, white * b) == pytest.approx(float(((a - b) ** 2).sum()), rel=1e-11)


def test_it_is_symmetric_and_invariant_under_rotation():
    x, y = gaussians(400, 24, 0), gaussians(300, 24, 1) + 0.1
    rotation = torch.linalg.qr(gaussians(24, 24, 2, decay=0))[0]
    assert fid(x, y) == pytest.approx(fid(y, x), rel=1e-12)
    assert fid(x @ rotation, y @ rotation) == pytest.approx(fid(x, y), rel=1e-11)


def test_it_equals_the_matrix_square_root_of_scipy():
    mix = gaussians(48, 48, 3, decay=0)
    x, y = gaussians(600, 48, 0), gaussians(500, 48, 1, mix=mix)
    assert fid(x, y) == pytest.approx(by_square_root(x, y), rel=1e-11)


def test_it_equals_torch_fidelity_on_float32_features():
    x, y = gaussians(600, 64, 0).relu().float(), (gaussians(500, 64, 1) + 0.2).relu().float()
    theirs = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    assert fid(x, y) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


@pytest.mark.parametrize("decay", [0.0, 3.0, 8.0])
def test_the_fast_factors_and_the_orthogonal_ones_agree(decay, monkeypatch):
    mix = torch.linalg.qr(gaussians(40, 40, 3, decay=0))[0]
    x, y = gaussians(300, 40, 0, decay, mix), gaussians(300, 40, 1, decay, mix) + 0.01
    fast = fid(x, y)
    monkeypatch.setattr(torch.linalg, "cholesky_ex", lambda c: (torch.zeros_like(c), torch.tensor(1)))
    monkeypatch.setattr(module, "EPS", 1.0)  # every spectrum now counts as buried: singular values are taken directly
    assert fid(x, y) == pytest.approx(fast, rel=1e-9)


def test_dead_and_copied_features_change_nothing():
    x, y = gaussians(300, 20, 0), gaussians(300, 20, 1) + 0.1
    dead = torch.full((300, 5), 0.7, dtype=torch.float64)
    assert fid(torch.cat([x, dead], 1), torch.cat([y, dead], 1)) == pytest.approx(fid(x, y), rel=1e-9)
    doubled = fid(torch.cat([x, x], 1), torch.cat([y, y], 1))
    assert doubled == pytest.approx(2 * fid(x, y), rel=1e-9)


def test_a_constant_set_costs_the_variance_of_the_other():
    x = gaussians(100, 12, 0)
    constant = x.mean(0).repeat(50, 1)
    assert fid(x, constant) == pytest.approx(float(x.var(0).sum()), rel=1e-11)


def test_fewer_samples_than_features_agree_with_the_covariance():
    x, y = gaussians(15, 40, 0), gaussians(60, 40, 1)
    few, many = Moments.of(x), Moments.of(y)
    assert few.factor.shape == (15, 40)
    assert many.factor.shape == (40, 40)
    assert np.allclose(few.covariance, np.cov(x.numpy(), rowvar=False), atol=1e-14)
    assert np.allclose(many.covariance, np.cov(y.numpy(), rowvar=False), atol=1e-14)
    # The product of the covariances has the same non-zero spectrum as the small symmetric matrix C^T S C.
    spectrum = np.linalg.eigvalsh(few.factor.numpy() @ np.cov(y.numpy(), rowvar=False) @ few.factor.numpy().T)
    roots = np.sqrt(spectrum.clip(0)).sum()
    gap = few.mean - many.mean
    expected = gap @ gap + x.var(0).sum() + y.var(0).sum() - 2 * roots
    assert fid(x, y) == pytest.approx(float(expected), rel=1e-7)


def test_chunks_do_not_change_the_moments(monkeypatch):
    x = gaussians(500, 10, 0)
    dead = torch.cat([x, torch.zeros(500, 2, dtype=torch.float64)], 1)
    whole, whole_dead = Moments.of(x), Moments.of(dead)
    monkeypatch.setattr(module, "CHUNK", 70)
    assert torch.allclose(Moments.of(x).factor, whole.factor, rtol=1e-12, atol=1e-13)
    assert torch.allclose(Moments.of(dead).covariance, whole_dead.covariance, rtol=1e-12, atol=1e-13)


def test_moments_stand_for_their_features():
    x, y = gaussians(200, 8, 0), gaussians(200, 8, 1)
    assert fid(Moments.of(x), Moments.of(y)) == fid(x, y)
