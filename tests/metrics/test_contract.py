"""What every metric keeps: its value for a set and itself, its direction, and one line for what cannot be measured."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from driving import normal

from latent_ot.errors import InputError
from latent_ot.metrics import pairwise
from latent_ot.metrics.base import metrics
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import kid
from latent_ot.metrics.latent import score_codes
from latent_ot.metrics.modes import mode_coverage
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import prdc
from latent_ot.metrics.psnr import CEILING, psnr
from latent_ot.metrics.quality import hdr_threshold, reconstruction_errors
from latent_ot.metrics.score import score, score_images
from latent_ot.metrics.smoothness import smoothness
from latent_ot.metrics.ssim import ssim

RING = np.array([[math.cos(a), math.sin(a)] for a in np.linspace(0, 2 * math.pi, 9)[:8]])
SELF = {  # of what is compared with itself; a ball of k neighbours holds its centre, too, hence the density
    "fid": 0, "prd_f8": 1, "prd_f1_8": 1, "precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1,
    "ot_divergence": 0, "modes": 8, "psnr": CEILING, "ssim": 1, "interp_smoothness": 1,
    "cmmd": 0, "code_w2": 0, "code_recall": 1, "code_precision": 1, "discriminator_auc": 0.5,
    "class_tv": 0, "classes": 10, "sharpness": 1, "code_mean_error": 0, "code_covariance_error": 0, "interp_on_mode": 1,
}  # fmt: skip
# What a shift says nothing of.
STILL = {"class_tv", "classes", "code_repeats", "interp_on_mode_across", "is_std", "kid_std"}


@cache
def measured(measures, shift, exact_width):
    """Return the figures of examples that were moved so far from those that they are compared with."""
    real = normal(320, 8)
    fake = real + shift
    if measures == "samples":
        logits = 20 * torch.eye(10).repeat(len(real) // 10, 1) / (1 + shift)
        return score_images(FeatureSet(real, logits), FeatureSet(fake, logits), seed=0)[0]
    if measures == "clip":
        logits = real[:, :0]  # it tells no classes apart
        return score("clip", FeatureSet(real, logits), FeatureSet(fake, logits), 0)[0]
    if measures == "points":
        points = np.repeat(RING, 40, axis=0) + 0.02 * real[:320, :2].double().numpy()
        return score("points", points, points + shift, RING, 0.05)[0]
    if measures == "codes":
        return score("codes", fake, real, normal(400, 8, 5))[0]
    if measures == "prior":
        return score("prior", fake, real)[0]
    if measures == "pictures":
        image = real.sigmoid()[:256].view(8, 1, 16, 16)
        return score("pictures", image, image / (1 + shift))[0]
    if measures == "qualities":
        points = torch.as_tensor(RING).repeat_interleave(40, dim=0) + 0.2 * real[:, :2]
        return score("qualities", points, real[:, :2].norm(dim=1) + shift * real[:, 2].abs(), RING, 0.2)[0]
    if measures == "point_walks":
        ends = torch.as_tensor(np.stack([RING, np.roll(RING, 1, axis=0)], axis=1))
        return score("point_walks", ends.repeat_interleave(4, dim=1) + shift, RING, 0.05)[0]
    if measures == "scores":
        return score("scores", real[:, 0], fake[:, 0])[0]
    if measures == "walks":
        return score("walks", torch.zeros(2, 4, 1, 3, 3))[0]
    image = real.sigmoid()[:256].view(8, 1, 16, 16)
    return score("reconstructions", image, (image + shift * normal(8, 256, 3).view(8, 1, 16, 16)).clamp(0, 1))[0]


@pytest.mark.parametrize(
    ("metric", "exact_width"),
    [*((metric, 512) for metric in metrics()), *((metric, 1) for metric in metrics("pairs"))],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_is_compared_with_itself_has_the_known_value_and_what_is_moved_away_a_worse_one(
    metric, exact_width, monkeypatch
):
    monkeypatch.setattr(pairwise, "EXACT_WIDTH", exact_width)  # 1: the float32 products of wide features
    measures = "samples" if metric.measures == "pairs" else metric.measures  # one pass over both
    found = [measured(measures, shift, exact_width) for shift in (0.0, 0.5, 30.0)]
    for key, card in metric.quantities.items():
        values = [figures[key] for figures in found if key in figures]
        if key in SELF:
            assert values[0] == pytest.approx(SELF[key], abs=0.01 if "prd" in key else 1e-9)
        if card["direction"] != "none" and key not in STILL and metric.measures != "walks" and values:
            worse = sorted(values, reverse=card["direction"] == "up")
            assert values == worse
            assert values[0] != values[2]


X, IMAGES = normal(10, 3), torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
BROKEN = {
    "fid of one": (lambda: fid(torch.zeros(1, 3), torch.zeros(5, 3)), "1 samples; allowed: 2 or more"),
    "fid of widths": (lambda: fid(torch.zeros(5, 3), torch.zeros(5, 4)), "equally many"),
    "fid of no matrix": (lambda: fid(torch.zeros(5), torch.zeros(5, 4)), "a matrix"),
    "fid of nan": (
        lambda: fid(X[:5], X[:2].index_fill(0, torch.tensor([1]), math.nan)),
        "1 of 2 samples are not finite",
    ),
    "is of few": (lambda: inception_score(torch.zeros(9, 3)), "logits: 9 samples; allowed: 10 or more"),
    "is without splits": (lambda: inception_score(torch.zeros(9, 3), splits=0), "splits = 0"),
    "kid of one": (lambda: kid(torch.zeros(5, 3), torch.zeros(1, 3)), "generated features: 1 samples"),
    "codes, few": (lambda: score_codes(X[:5], X, X), r"drawn codes: 5 samples; allowed: 6 or more"),
    "codes, no matrix": (lambda: score_codes(X, X[:, 0], X), r"held-out codes: shape \(10,\)"),
    "codes, none": (lambda: score_codes(X, X, X[:0]), r"training codes: 0 samples"),
    "codes, widths": (lambda: score_codes(X, X, X[:, :2]), r"dimensions \[3, 3, 2\]"),
    "codes, no width": (lambda: score_codes(X[:, :0], X[:, :0], X[:, :0]), r"dimensions \[0, 0, 0\]"),
    "codes, nan": (
        lambda: score_codes(X.index_fill(0, torch.tensor([2]), math.nan), X, X),
        r"drawn codes: 1 of 10 samples are not finite",
    ),
    "modes, no std": (lambda: mode_coverage(torch.zeros(10, 2), torch.tensor(RING), 0.0), "std = 0"),
    "modes, widths": (lambda: mode_coverage(torch.zeros(10, 3), torch.tensor(RING), 0.1), "equally many"),
    "prd, unequal": (lambda: prd(torch.zeros(30, 2), torch.zeros(31, 2)), "30 real and 31 generated"),
    "prd, few": (lambda: prd(torch.zeros(9, 2), torch.zeros(9, 2)), "9 samples of each; allowed: 10 or more"),
    "prdc, k 0": (lambda: prdc(torch.zeros(4, 2), torch.zeros(9, 2), 0), "k = 0 with 4 samples"),
    "prdc, k 4": (lambda: prdc(torch.zeros(4, 2), torch.zeros(9, 2), 4), "k = 4 with 4 samples"),
    "errors, shapes": (lambda: reconstruction_errors(torch.zeros(2, 3), torch.zeros(2, 4)), r"shape \(2, 4\)"),
    **{f"level {x}": (lambda x=x: hdr_threshold(torch.ones(3), x), "level") for x in (0.0, 1.0, -1.0)},
    "no errors": (lambda: hdr_threshold(torch.ones(0), 0.1), "there are none"),
    **{
        f"{m.__name__}, {what}": (lambda m=m, pair=pair: m(*pair), said)
        for m in (psnr, ssim)
        for what, pair, said in (
            ("unequal", (IMAGES, IMAGES[:1]), "two equal"),
            ("type", (IMAGES.int(), IMAGES.int()), r"torch\.int32"),
            ("nan", (IMAGES.float(), torch.full(IMAGES.shape, math.nan)), "not finite"),
        )
    },
    "ssim, small": (lambda: ssim(IMAGES[..., :8, :8], IMAGES[..., :8, :8]), "8 x 8 px; allowed: 11 x 11"),
    **{
        f"walks {shape}": (lambda shape=shape: smoothness(np.zeros(shape)), "allowed")
        for shape in ((4, 3), (0, 5, 2), (3, 2, 4))
    },
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_measured_is_refused_in_one_line(case):
    call, said = BROKEN[case]
    with pytest.raises(InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
