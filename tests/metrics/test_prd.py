import numpy as np
import pytest
import torch

from latent_ot.metrics.prd import curve, f_beta, prd


def blobs(n, centres, seed):
    g = torch.Generator().manual_seed(seed)
    which = torch.arange(n) % len(centres)
    return 0.1 * torch.randn(n, 2, generator=g) + torch.tensor(centres)[which]


ONE, OTHER = (0.0, 0.0), (50.0, 0.0)


def test_disjoint_sets_score_zero():
    found = prd(blobs(300, [ONE], 0), blobs(300, [OTHER], 1))
    assert found.f8 < 1e-6
    assert found.f1_8 < 1e-6


def test_a_generator_that_drops_a_mode_loses_recall_and_keeps_precision():
    found = prd(real=blobs(400, [ONE, OTHER], 0), fake=blobs(400, [ONE], 1))
    assert found.f1_8 > 0.9
    assert 0.4 < found.f8 < 0.6


def test_a_generator_that_invents_a_mode_loses_precision_and_keeps_recall():
    found = prd(real=blobs(400, [ONE], 1), fake=blobs(400, [ONE, OTHER], 0))
    assert found.f8 > 0.9
    assert 0.4 < found.f1_8 < 0.6


def test_half_the_mass_in_common_reaches_half_at_both_ends():
    precision, recall = curve(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5]))
    assert precision.max() == pytest.approx(0.5)
    assert recall.max() == pytest.approx(0.5)
    assert precision[500] == pytest.approx(0.5)  # the middle angle has slope 1


def test_swapping_the_sets_swaps_the_curve():
    p, q = np.random.default_rng(0).dirichlet(np.ones(20), 2)
    there, back = curve(p, q), curve(q, p)
    assert np.allclose(there[0], back[1][::-1], atol=1e-9)
    assert np.allclose(there[1], back[0][::-1], atol=1e-9)


def test_at_slope_one_the_curve_is_one_minus_total_variation():
    p, q = np.random.default_rng(1).dirichlet(np.ones(20), 2)
    assert curve(p, q)[0][500] == pytest.approx(1 - np.abs(p - q).sum() / 2, abs=1e-9)


def test_f_beta_is_the_weighted_harmonic_mean():
    p, r = np.array([0.3]), np.array([0.8])
    assert f_beta(p, r, 1.0) == pytest.approx(2 * 0.3 * 0.8 / 1.1)
    assert f_beta(p, r, 1e6) == pytest.approx(0.8)
    assert f_beta(p, r, 1e-6) == pytest.approx(0.3)
    assert f_beta(np.zeros(2), np.zeros(2), 8.0) == 0


def test_the_seed_decides_the_clusterings():
    x, y = torch.randn(2, 300, 6, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(prd(x, y, seed=3).precision, prd(x, y, seed=3).precision)
    assert not np.array_equal(prd(x, y, seed=3).precision, prd(x, y, seed=4).precision)
