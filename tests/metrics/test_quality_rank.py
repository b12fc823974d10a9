import math

import numpy as np
import pytest
import torch
from driving import normal
from scipy.stats import multivariate_normal, spearmanr

from latent_ot.errors import InputError
from latent_ot.metrics.quality_rank import QualityRank, mixture_log_density, rank_correlation

MODES, STD = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]), 0.3


def test_the_correlation_is_that_of_an_independent_library_with_and_without_ties():
    a, b = normal(80, 1)[:, 0], normal(80, 1, 1)[:, 0]
    for x, y in ((a, a + b), (a.round(), b), (a.round(), (a + b).round())):
        assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)


def test_any_increasing_function_is_followed_and_a_constant_tells_nothing():
    a = normal(50, 1)[:, 0]
    assert rank_correlation(a, a.exp() ** 3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, torch.ones(50)) == 0


def test_the_density_is_the_mixtures_but_for_a_constant():
    points = 3 * normal(40, 2)
    parts = [multivariate_normal(m, STD**2 * np.eye(2)).pdf(points.double().numpy()) for m in MODES.numpy()]
    apart = mixture_log_density(points, MODES, STD).numpy() - np.log(np.mean(parts, axis=0))
    near = np.isfinite(apart)
    assert near.sum() > 20
    np.testing.assert_allclose(apart[near], math.log(2 * math.pi * STD**2 * 3), rtol=1e-9)
    with pytest.raises(InputError, match="std = 0"):
        mixture_log_density(points, MODES, 0)


def test_errors_that_grow_with_the_distance_from_a_lone_mode_rank_as_its_density_does():
    points = normal(200, 2)
    errors = points.norm(dim=1)
    assert QualityRank.compute(points, errors, MODES[:1], STD) == {"quality_spearman": pytest.approx(1)}
    assert QualityRank.compute(points, 1 / errors, MODES[:1], STD) == {"quality_spearman": pytest.approx(-1)}
    unrelated = QualityRank.compute(points, normal(200, 1, 3)[:, 0].abs(), MODES[:1], STD)
    assert abs(unrelated["quality_spearman"]) < 4 / math.sqrt(200)
