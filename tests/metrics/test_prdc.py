import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from latent_ot.metrics import pairwise
from latent_ot.metrics.prdc import prdc


def normal(n, d, seed, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(real, fake, k):
    def distances(a, b):
        return (a[:, None].double() - b[None].double()).norm(dim=2)

    radius = distances(real, real).sort(dim=1).values[:, k]  # column 0 is the sample itself
    fake_radius = distances(fake, fake).sort(dim=1).values[:, k]
    between = distances(real, fake)
    inside = between < radius[:, None]
    return {
        "precision": float(inside.any(0).double().mean()),
        "recall": float((between < fake_radius).any(1).double().mean()),
        "density": float(inside.sum(0).double().mean() / k),
        "coverage": float(inside.any(1).double().mean()),
    }


@pytest.mark.parametrize(("tile", "exact_width"), [(2048, 512), (37, 512), (37, 1), (3, 512)])
@pytest.mark.parametrize("k", [1, 5])
def test_tiles_equal_brute_force(tile, exact_width, k, monkeypatch):
    monkeypatch.setattr(pairwise, "TILE", tile)
    monkeypatch.setattr(pairwise, "EXACT_WIDTH", exact_width)
    real, fake = normal(120, 6, 0, 30.0), 0.8 * normal(90, 6, 1) + 30.4
    assert prdc(real, fake, k) == pytest.approx(by_definition(real, fake, k), abs=1e-12)


def test_far_apart_sets_share_nothing():
    assert set(prdc(normal(100, 4, 0), normal(100, 4, 1, 100.0)).values()) == {0.0}


def test_a_dropped_mode_costs_recall_and_coverage_but_not_precision():
    real = torch.cat([normal(200, 3, 0), normal(200, 3, 1, 50.0)])
    scores = prdc(real, normal(400, 3, 2))
    assert scores["precision"] > 0.9
    assert scores["recall"] < 0.55
    assert scores["coverage"] <= 0.5


def test_an_invented_mode_costs_precision_but_not_recall():
    fake = torch.cat([normal(200, 3, 0), normal(200, 3, 1, 50.0)])
    scores = prdc(normal(400, 3, 2), fake)
    assert scores["precision"] < 0.55
    assert scores["recall"] > 0.9


def test_a_real_outlier_inflates_precision_but_not_density():
    real = torch.cat([normal(200, 3, 0), torch.full((1, 3), 40.0)])
    scores = prdc(real, normal(200, 3, 1, 20.0))
    assert scores["precision"] == 1.0
    assert scores["density"] < 0.25


def test_precision_and_recall_equal_torch_fidelity():
    real, fake = normal(250, 5, 0), normal(200, 5, 1, 0.5)
    theirs = prc_features_to_metric(fake, real, verbose=False)  # generated first there; k = 3
    ours = prdc(real, fake, k=3)
    assert ours["precision"] == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours["recall"] == pytest.approx(theirs["recall"], rel=1e-6)
