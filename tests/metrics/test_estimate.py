"""Intervals of sampling: influences are derivatives, errors are those of closed forms, and intervals hold the mean."""

import math

import numpy as np
import pytest
import torch
from driving import normal, seeded
from scipy.special import stdtrit
from scipy.stats import binom

from latent_ot.metrics import prdc as neighbours
from latent_ot.metrics.auc import auc
from latent_ot.metrics.class_shares import class_distance
from latent_ot.metrics.estimate import Estimate, Z, by_influence, intervals, of_mean, of_share, share_error
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import Moments, fid, influences, with_interval
from latent_ot.metrics.fid_inf import extrapolated
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import Kernels, kid
from latent_ot.metrics.pairwise import Features, sweep
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import Sampled, prdc
from latent_ot.metrics.psnr import psnr
from latent_ot.metrics.ssim import ssim


def error(value):
    return value.half / Z


def test_an_estimate_is_a_number_with_an_interval():
    found = Estimate(2.0, 0.5)
    assert found == 2.0
    assert isinstance(found, float)
    assert intervals({"a": found, "b": 1.0}) == {"a": pytest.approx([2 - 0.5 * Z, 2 + 0.5 * Z])}
    assert not isinstance(by_influence(1.0, torch.ones(1)), Estimate)


def test_a_mean_has_its_standard_error_and_a_share_one_that_is_never_nothing():
    values = normal(200, 1).flatten().double()
    assert error(of_mean(values)) == pytest.approx(float(values.std()) / 200**0.5)
    hits = torch.arange(1000) < 400
    assert of_share(hits) == 0.4
    assert error(of_share(hits)) == pytest.approx((0.24 / 1000) ** 0.5, rel=0.005)
    assert share_error(1.0, 996) == pytest.approx((0.998 * 0.002 / 1000) ** 0.5)


def test_images_are_what_psnr_and_ssim_sample():
    x = torch.rand(40, 1, 16, 16, generator=seeded())
    y = (x + 0.1 * torch.rand(40, 1, 1, 1, generator=seeded(1)) * torch.randn(x.shape, generator=seeded(2))).clamp(0, 1)
    for metric in (psnr, ssim):
        single = torch.tensor([metric(a[None], b[None]) for a, b in zip(x, y, strict=True)], dtype=torch.float64)
        assert metric(x, y) == pytest.approx(float(single.mean()))
        assert error(metric(x, y)) == pytest.approx(float(single.std()) / 40**0.5)


def weighted_fid(x, y, real_weights, fake_weights):
    """FID of sets whose samples have weights that sum to one, by definition."""
    moments = []
    for z, w in ((x, real_weights), (y, fake_weights)):
        centre = w @ z
        moments.append((centre, (z - centre).T @ ((z - centre) * w[:, None]) * len(z) / (len(z) - 1)))
    (m, s), (n, t) = moments
    roots = torch.linalg.eigvals(s @ t).real.clamp_min(0).sqrt()
    return float((m - n) @ (m - n) + s.trace() + t.trace() - 2 * roots.sum())


@pytest.mark.parametrize("side", [0, 1])
def test_influences_on_fid_are_its_derivatives_in_the_weights_of_samples(side):
    x, y = normal(60, 5).double(), 1.3 * normal(50, 5, 1).double() + 0.4
    found = influences(x, y, Moments.of(x), Moments.of(y))[side]
    found = found - found.mean()
    sets, step = (x, y), 1e-5
    for i in (0, 7, 23):
        ends = []
        for way in (step, -step):
            weights = [torch.full((len(z),), 1 / len(z), dtype=torch.float64) for z in sets]
            weights[side] = weights[side] * (1 - way)
            weights[side][i] += way
            ends.append(weighted_fid(x, y, *weights))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(found[i]), rel=0.03, abs=0.05)


def test_influences_of_two_gaussians_on_a_line_are_those_of_the_closed_form():
    x, y = normal(400, 1).double(), 2 * normal(300, 1, 1).double() + 1
    a, b = Moments.of(x), Moments.of(y)
    gap, s, t = float(b.mean - a.mean), float(x.std()), float(y.std())
    real, fake = influences(x, y, a, b)
    assert torch.allclose(fake, (2 * gap * (y - y.mean()) + (1 - s / t) * (y - y.mean()) ** 2).flatten(), atol=1e-9)
    assert torch.allclose(real, (-2 * gap * (x - x.mean()) + (1 - t / s) * (x - x.mean()) ** 2).flatten(), atol=1e-9)


def test_fewer_samples_than_features_and_dead_features_have_influences_too():
    x, y = normal(20, 40).double(), 1.3 * normal(24, 40, 1).double() + 0.4
    left_out = []
    for i in range(24):
        weights = torch.full((24,), 1 / 23, dtype=torch.float64)
        weights[i] = 0
        left_out.append(fid(x, y[weights > 0]))
    found = influences(x, y, Moments.of(x), Moments.of(y))[1]
    jackknife = (-23 * torch.tensor(left_out)).double()
    assert np.corrcoef(found, jackknife)[0, 1] > 0.9
    x, y = normal(100, 3).double(), 1.3 * normal(100, 3, 1).double()
    dead = torch.full((100, 2), 0.7, dtype=torch.float64)
    wide = with_interval(*(FeatureSet(torch.cat([z, dead], 1), z) for z in (x, y)))
    assert wide.half == pytest.approx(with_interval(FeatureSet(x, x), FeatureSet(y, y)).half, rel=1e-6)


def test_extrapolation_takes_the_bias_away_and_keeps_the_interval():
    def draw(seed):
        return normal(200, 24, 2 * seed), normal(200, 24, 2 * seed + 1)

    pairs = [draw(seed) for seed in range(40)]
    whole = np.array([fid(x, y) for x, y in pairs])
    found = np.array([extrapolated(x, y, value) for (x, y), value in zip(pairs, whole, strict=True)])
    assert whole.mean() > 1.2  # of two samples of one law, whose distance is 0
    assert abs(found.mean()) < 4 * found.std() / 40**0.5 + 0.05  # the second order of the bias stays
    estimate = Estimate(whole[0], 0.1)
    assert extrapolated(*pairs[0], estimate).half == pytest.approx(estimate.half)


@pytest.mark.parametrize(("shift", "scale", "most"), [(0.0, 1.0, 1.35), (0.3, 1.2, 1.2)])
def test_the_error_of_kid_is_that_of_draws_and_at_least_that_where_both_laws_are_one(shift, scale, most):
    found = [kid(normal(70, 16, 2 * s), scale * normal(70, 16, 2 * s + 1) + shift)[0] for s in range(200)]
    ratio = np.mean([error(value) ** 2 for value in found]) ** 0.5 / np.std([float(value) for value in found])
    assert 0.85 < ratio < most


def test_subsets_of_large_sets_scatter_and_small_sets_have_an_interval_all_the_same(monkeypatch):
    x, y = normal(300, 6), normal(300, 6, 1) + 0.2
    mean, std = kid(x, y)
    assert std == 0
    assert mean.half > 0
    monkeypatch.setattr("latent_ot.metrics.kid.SUBSET_SIZE", 100)
    drawn, spread = kid(x, y)
    assert spread > 0
    assert error(drawn) ** 2 == pytest.approx(error(mean) ** 2 + spread**2 / 100)


def test_the_error_of_the_inception_score_and_of_class_shares_is_that_of_draws():
    scores = [inception_score(3 * normal(400, 6, seed))[0] for seed in range(150)]
    assert np.mean([error(s) for s in scores]) == pytest.approx(np.std(scores), rel=0.2)
    shares = [
        class_distance(normal(400, 6, 2 * s), normal(400, 6, 2 * s + 1) + torch.arange(6) / 3) for s in range(150)
    ]
    assert np.mean([error(s) for s in shares]) == pytest.approx(np.std(shares), rel=0.2)


def test_the_error_of_an_area_under_the_curve_is_that_of_draws():
    found = [auc(normal(60, 1, 2 * s).flatten() + 1, normal(80, 1, 2 * s + 1).flatten()) for s in range(200)]
    assert np.mean([error(a) for a in found]) == pytest.approx(np.std(found), rel=0.15)


@pytest.mark.slow
def test_the_error_of_precision_and_recall_over_clusters_is_that_of_draws(monkeypatch):
    monkeypatch.setattr("latent_ot.metrics.prd.RUNS", 4)
    monkeypatch.setattr("latent_ot.metrics.prd.STARTS", 1)

    def draw(seed):
        x, y = normal(300, 3, 2 * seed), normal(300, 3, 2 * seed + 1)
        return torch.where(x[:, :1] > 0, x + 3, x - 3), torch.where(y[:, :1] > 0.6, y + 3, y - 3)

    found = [prd(*draw(seed), seed) for seed in range(25)]
    for key in ("f8", "f1_8"):
        values = [getattr(p, key) for p in found]
        assert 0.6 < np.mean([error(v) for v in values]) / np.std(values) < 1.5


def test_few_samples_have_neighbours_but_no_interval_of_them(monkeypatch):
    def found(n):
        features = Features(normal(n, 3), normal(n, 3, 1))
        visitor = Sampled(features)
        sweep(features, visitor)
        assert visitor.result() == prdc(normal(n, 3), normal(n, 3, 1))
        return intervals(visitor.result())

    assert found(23) == {}
    assert found(24).keys() == {"precision", "recall", "density", "coverage"}
    degrees = neighbours.DIVISIONS * (neighbours.PARTS - 1)
    assert pytest.approx(float(stdtrit(degrees, 0.975)), rel=1e-6) == neighbours.QUANTILE


def covered(n, draws, mean_of):
    """Return key -> (the share of draws whose interval holds the mean of ``mean_of`` draws, that mean)."""
    found, values = {}, {}
    for seed in range(mean_of):
        x, y = normal(n, 64, 2 * seed), 0.85 * normal(n, 64, 2 * seed + 1) + 0.3
        features = Features(x, y)
        visitors = (Kernels(features), (Sampled if seed < draws else neighbours.Neighbourhoods)(features))
        sweep(features, *visitors)
        measured = visitors[0].result() | visitors[1].result()
        sets = FeatureSet(x, x), FeatureSet(y, y)
        measured["fid"] = with_interval(*sets) if seed < draws else fid(x, y)
        for key in ("fid", "kid", "recall"):
            values.setdefault(key, []).append(float(measured[key]))
            if seed < draws:
                found.setdefault(key, []).append(intervals(measured)[key])
    means = {key: float(np.mean(every)) for key, every in values.items()}
    held = {key: np.mean([low <= means[key] <= high for low, high in ends]) for key, ends in found.items()}
    return {key: (float(held[key]), means[key]) for key in means}


def test_intervals_of_two_gaussians_hold_the_mean_about_as_often_as_they_say():
    draws = 25
    least = binom.ppf(1e-4, draws, 0.95) / draws
    for key, (share, mean) in covered(160, draws, draws).items():
        assert share >= least, key
        assert math.isfinite(mean)


@pytest.mark.slow
def test_95_percent_intervals_of_two_gaussians_in_64_dimensions_hold_the_mean_in_90_to_98_of_100():
    found = covered(500, 200, 2000)
    print({key: f"{share:.3f} (mean {mean:.4g})" for key, (share, mean) in found.items()})
    assert all(0.90 <= share <= 0.98 for share, _ in found.values()), found
