"""FID without the bias of finite samples: where the line through it in 1 / n reaches 0.

Chong and Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them", CVPR 2020, Sec. 3: the bias of
FID is linear in 1 / n to first order. They fit a line to 15 sizes of the generated set; here the line goes through all
samples and the mean of two halves, and both sets are halved, for both are finite.
"""

import torch
from torch import Tensor

from latent_ot.errors import TooFew
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid, with_interval
from latent_ot.seeding import generator


def extrapolated(real: Tensor, fake: Tensor, whole: float) -> float:
    """Return FID as it would be of infinitely many samples.

    To first order every sample weighs as it does in FID itself, so that its interval, carried over, holds here, too;
    where both sets have one law it is right for this one. It may be negative, as an unbiased estimate of something
    small must.

    Args:
        real: features (n, d).
        fake: features (m, d).
        whole: their FID, an ``Estimate`` where its interval is known.

    Raises:
        TooFew: with fewer than four of either.
    """
    if min(len(real), len(fake)) < 4:
        raise TooFew(f"fid_inf: {min(len(real), len(fake))} samples; allowed: 4 or more, which are halved")
    halves = [_halves(x, name) for x, name in ((real, "real"), (fake, "generated"))]
    found = [fid(x, y) for x, y in zip(*halves, strict=True)]
    rest = sum(1 / len(x) for x in halves[1]) / 2 - 1 / len(fake)  # what 1 / n is larger by, about 1 / n
    value = whole - (sum(found) / 2 - whole) / len(fake) / rest
    return Estimate(value, whole.half, 1.0) if isinstance(whole, Estimate) else value


def _halves(x: Tensor, name: str) -> tuple[Tensor, ...]:
    """Return two halves of a set, drawn once and for all: the order of real images may be that of their classes."""
    return x[torch.randperm(len(x), generator=generator(0, f"halves of {name}"))].tensor_split(2)


class FidInf(Metric):
    """Fréchet distance, extrapolated."""

    version = 1
    quantities = {"fid_inf": {"label": "FID∞", "direction": "down", "digits": 3, "floor": "data.fid_inf"}}
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return it."""
        return {"fid_inf": extrapolated(real.features, fake.features, with_interval(real, fake))}
