import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from latent_ot.metrics import kid as module
from latent_ot.metrics import pairwise
from latent_ot.metrics.kid import kid


def features(n, d, seed, shift=0.0):
    return (torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift).relu()


def by_definition(x, y):
    x, y = x.double(), y.double()
    kernels = [(a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in kernels[:2]]
    return float(sum(within) - 2 * kernels[2].mean())


@pytest.mark.parametrize("exact_width", [1, 512])
def test_it_equals_torch_fidelity_on_the_same_subsets(exact_width, monkeypatch):
    monkeypatch.setattr(pairwise, "EXACT_WIDTH", exact_width)  # 1: the float32 products of wide features
    monkeypatch.setattr(pairwise, "TILE", 130)
    monkeypatch.setattr(module, "SUBSET_SIZE", 200)
    x, y = features(500, 96, 0), features(420, 96, 1, 0.2)
    theirs = kid_features_to_metric(x.double(), y.double(), kid_subset_size=200, verbose=False)
    mean, std = kid(x, y)
    assert mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


@pytest.mark.parametrize("tile", [2048, 70])
def test_small_sets_of_one_size_are_one_subset(tile, monkeypatch):
    monkeypatch.setattr(pairwise, "TILE", tile)
    x, y = features(150, 8, 0), features(150, 8, 1, 0.3)
    mean, std = kid(x, y)
    assert mean == pytest.approx(by_definition(x, y), rel=1e-11)
    assert std == 0


def test_it_is_unbiased_on_small_samples_of_one_distribution():
    values = [kid(features(20, 4, 2 * s), features(20, 4, 2 * s + 1))[0] for s in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 300**0.5


def test_unequal_small_sets_use_subsets_of_the_smaller_size():
    x, y = features(300, 8, 0), features(60, 8, 1, 0.3)
    mean, std = kid(x, y)
    assert mean == pytest.approx(by_definition(x, y), rel=0.2)
    assert std > 0
