"""What an evaluation measures of methods that are trained end to end, beside their samples."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latent_ot.bench import evaluate
from latent_ot.catalog import Catalog
from latent_ot.datasets.toy import MIXTURES
from latent_ot.errors import Declined
from latent_ot.methods.base import Pair
from latent_ot.methods.points import Points, PointsConfig
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.stage import Spec

MODES, STD = MIXTURES["ring8"]()
ON_MODES = {"interp_on_mode", "interp_on_mode_across"}


@pytest.fixture
def ring(monkeypatch):
    monkeypatch.setattr(evaluate, "POINTS", 400)
    monkeypatch.setattr(evaluate, "MOMENT_DRAWS", 400)
    monkeypatch.setattr(evaluate, "POINT_PATHS", (30, 5))
    points = np.repeat(MODES, 60, axis=0).astype(np.float32)
    points += STD * np.random.default_rng(0).standard_normal(points.shape).astype(np.float32)
    return SimpleNamespace(train=points, test=points, modes=MODES, mode_std=STD)


def built(name):
    stage = Catalog().stage("methods", name)
    chosen = stage.defaults((2,), {}) | {"network": "toy"}
    return stage(stage.Config.build(chosen, name), Spec((2,), 480, 10**4, 0.1)).eval()


def nearest(x):
    modes = torch.as_tensor(MODES, dtype=x.dtype)
    return modes[torch.cdist(x, modes).argmin(dim=1)]


def near_modes(n, g):
    return nearest(torch.randn(n, 2, generator=g)) + 0.1 * torch.randn(n, 2, generator=g)


def test_a_mixture_shows_what_walks_and_quality_scores_are_worth(ring, monkeypatch):
    model, reasons = built("iwgan"), {}
    monkeypatch.setattr(model, "encode", lambda x: x)
    monkeypatch.setattr(model, "decode", lambda z: z[:, :2])
    far = {"quality_spearman", *ON_MODES}
    assert evaluate._on_modes(model, ring, 0, reasons).keys() == far
    monkeypatch.setattr(model, "sample", near_modes)
    monkeypatch.setattr(model, "decode", lambda z: nearest(z[:, :2]))
    found = evaluate._on_modes(model, ring, 0, reasons)
    assert found["quality_spearman"] > 0.99  # the error is the distance from the mode
    assert found["interp_on_mode"] == found["interp_on_mode_across"] == 1.0
    assert reasons == {}


def test_a_method_without_an_encoder_has_walks_alone_and_says_why(ring):
    reasons = {}
    assert evaluate._on_modes(built("wgan_gp"), ring, 0, reasons).keys() <= ON_MODES
    assert reasons == {"quality_spearman": "a GAN has no encoder; it reconstructs by a search over codes"}


def test_points_that_are_their_own_codes_have_no_quality_scores(ring):
    spec = Spec((2,), 480, 0)
    sampler = Gaussian(GaussianConfig(), spec)
    sampler.fit(torch.from_numpy(ring.train))
    reasons = {}
    found = evaluate._on_modes(Pair(Points(PointsConfig(), spec), sampler), ring, 0, reasons)
    assert found["interp_on_mode"] < 0.3
    assert reasons.keys() == {"quality_spearman"}


def test_codes_of_held_out_data_are_scored_against_the_prior(ring, tmp_path, monkeypatch):
    model, scorer = built("iwgan"), SimpleNamespace(dataset=ring)
    found = evaluate._prior(model, scorer, tmp_path, 0)
    assert found.keys() == {"code_mean_error", "code_covariance_error"}
    assert (tmp_path / "codes.png").exists()
    monkeypatch.setattr(model, "encode", lambda x: model.prior(len(x), torch.Generator().manual_seed(len(x))))
    assert max(evaluate._prior(model, scorer, tmp_path, 0).values()) < 0.5
    with pytest.raises(Declined, match="no encoder"):
        evaluate._prior(built("wgan_gp"), scorer, tmp_path, 0)
