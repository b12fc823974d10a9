"""All distribution metrics of one run, under the names that its record and the tables use."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.inputs import rows
from latent_ot.metrics.kid import Kernels
from latent_ot.metrics.modes import mode_coverage
from latent_ot.metrics.ot_divergence import ot_divergences
from latent_ot.metrics.pairwise import Features, sweep
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import Neighbourhoods

THINNING = 10  # of the 1001 points of a PRD curve, 101 are kept


def score_images(real: FeatureSet, fake: FeatureSet, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return metrics and curves of generated images against real ones; ``seed`` is that of the PRD clusterings.

    KID and precision, recall, density, coverage share one pass over the pairs of samples.

    Raises:
        InputError: sets of different size, too few samples (IS needs 10), or values that are not finite.
    """
    features = Features(real.features, fake.features)
    kernels, neighbourhoods = Kernels(features), Neighbourhoods(features)
    metrics = {"fid": fid(real.moments, fake.moments)}
    metrics["is"], metrics["is_std"] = inception_score(fake.logits)
    sweep(features, kernels, neighbourhoods)
    metrics["kid"], metrics["kid_std"] = kernels.result()
    curve = prd(real.features, fake.features, seed)
    metrics |= {"prd_f8": curve.f8, "prd_f1_8": curve.f1_8, **neighbourhoods.result()}
    return metrics, {"prd": {"precision": _thin(curve.precision), "recall": _thin(curve.recall)}}


def score_points(
    real: Any, fake: Any, modes: Any = None, std: float | None = None, mode_points: int | None = None
) -> dict[str, float]:
    """Return the metrics of draws of generated 2-D points (repeats, n, 2) against as many of real ones.

    ``modes``: (K, 2) and ``std`` of the mixture that the real points come from,
    if they come from one; its coverage is that of the first ``mode_points`` generated points (none: of all).

    Raises:
        InputError: shapes that do not match or values that are not finite.
    """
    metrics = ot_divergences(_draws(real, "real"), _draws(fake, "generated"))
    if modes is not None and std is not None:
        metrics |= mode_coverage(torch.cat(_draws(fake, "generated"))[:mode_points], modes, std)
    return metrics


def _draws(points: Any, name: str) -> list[Tensor]:
    draws = np.asarray(points)
    return [rows(draw, f"{name} points") for draw in (draws if draws.ndim == 3 else draws[None])]


def _thin(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values[::THINNING]]
