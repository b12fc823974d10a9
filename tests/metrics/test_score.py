import json
import math

import numpy as np
import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.class_shares import class_distance
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid
from latent_ot.metrics.fid_inf import extrapolated
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import kid
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import prdc
from latent_ot.metrics.recognition import recognised
from latent_ot.metrics.score import score_images, score_points

NAMES = {
    "class_tv",
    "classes",
    "confidence",
    "fid",
    "fid_inf",
    "is",
    "is_std",
    "kid",
    "kid_std",
    "prd_f8",
    "prd_f1_8",
    "precision",
    "recall",
    "density",
    "coverage",
}


def some(n=60, d=6, k=4, seed=0, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return FeatureSet(torch.randn(n, d, generator=g) + shift, torch.randn(n, k, generator=g))


def test_the_shared_pass_gives_what_each_metric_gives_alone():
    real, fake = some(seed=0), some(seed=1, shift=0.3)
    metrics, curves = score_images(real, fake, seed=5)
    curve = prd(real.features, fake.features, 5)
    alone = {"fid": fid(real.features, fake.features), "prd_f8": curve.f8, "prd_f1_8": curve.f1_8}
    alone["fid_inf"] = extrapolated(real.features, fake.features, alone["fid"])
    alone["is"], alone["is_std"] = inception_score(fake.logits)
    alone["class_tv"] = class_distance(real.logits, fake.logits)
    alone["classes"], alone["confidence"] = recognised(fake.logits)
    alone["kid"], alone["kid_std"] = kid(real.features, fake.features)
    assert metrics == alone | prdc(real.features, fake.features)
    assert curves["prd"]["recall"] == pytest.approx(curve.recall[::10].tolist(), abs=1e-6)
    assert curves["prd"]["precision"] == pytest.approx(curve.precision[::10].tolist(), abs=1e-6)


def test_scores_go_into_json_as_finite_numbers():
    metrics, curves = score_images(some(), FeatureSet(torch.zeros(60, 6), torch.zeros(60, 4)), seed=0)
    assert set(metrics) == NAMES
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
    assert json.loads(json.dumps([metrics, curves], allow_nan=False)) == [metrics, curves]


@pytest.mark.parametrize("which", ["features", "logits"])
def test_scores_of_broken_samples_are_one_line(which):
    fake = some(seed=1)
    getattr(fake, which)[3, 1] = float("inf")
    with pytest.raises(InputError, match=f"{which}: 1 of 60 samples are not finite"):
        score_images(some(), fake, seed=0)


def test_points_of_a_mixture_are_scored_by_transport_and_by_modes():
    modes = np.array([[0.0, 0.0], [5.0, 0.0]])
    noise = np.random.default_rng(0).normal(size=(2, 100, 2)) * 0.1
    real, fake = np.concatenate([modes, modes] * 25) + noise[0], modes[:1] + noise[1]
    scores = score_points(real, fake, modes, 0.1)
    assert scores["modes"] == 1
    assert scores["high_quality"] > 0.95
    assert scores["ot_divergence"] == pytest.approx(2.5, abs=0.2)  # half of the points travel 5
    assert set(score_points(real, fake)) == {"ot_divergence"}
    assert score_points(real, real)["ot_divergence"] == pytest.approx(0, abs=1e-6)


def test_scoring_changes_neither_set():
    real, fake = (FeatureSet(s.features.double(), s.logits.double()) for s in (some(), some(seed=1)))
    before = [t.clone() for s in (real, fake) for t in (s.features, s.logits)]
    score_images(real, fake, seed=0)
    after = [real.features, real.logits, fake.features, fake.logits]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_points_are_scored_draw_by_draw():
    real = np.random.default_rng(0).standard_normal((3, 40, 2))
    shifts = np.array([0.0, 1.0, 2.0])
    scores = score_points(real, real + np.array([1.0, 0.0]) * shifts[:, None, None])
    assert scores["ot_divergence"] == pytest.approx(1, abs=1e-6)  # of a shift: its length
    assert scores["ot_divergence_std"] == pytest.approx(1, abs=1e-6)
