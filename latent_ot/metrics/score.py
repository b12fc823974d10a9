"""All metrics of one run, under the names that its record and the tables use."""

from typing import Any

from latent_ot.metrics.base import Measures, metrics
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.pairwise import Features, sweep

Scores = tuple[dict[str, float], dict[str, Any]]
"""Metrics, and curves."""


def score(measures: Measures, *given: Any) -> Scores:
    """Return what every metric of some measures makes of what it is given; see ``Metric``."""
    found: dict[str, Any] = {}
    for metric in metrics(measures):
        found |= metric.compute(*given)
    return _split(found)


def score_images(real: FeatureSet, fake: FeatureSet, seed: int) -> Scores:
    """Return metrics and curves of generated images against real ones; ``seed`` is that of the PRD clusterings.

    Metrics of pairs share one pass over them.

    Raises:
        InputError: sets of different size, too few samples (IS needs 10), or values that are not finite.
    """
    features = Features(real.features, fake.features)
    visitors = [metric.compute(features) for metric in metrics("pairs")]
    sweep(features, *visitors)
    values, curves = score("samples", real, fake, seed)
    return values | {key: value for visitor in visitors for key, value in visitor.result().items()}, curves


def score_points(real: Any, fake: Any, modes: Any = None, std: float | None = None) -> dict[str, float]:
    """Return the metrics of draws of generated points (repeats, n, 2) against as many of real ones.

    ``modes``: (K, 2) and ``std`` of the mixture that the real points come from, if they come from one.

    Raises:
        InputError: shapes that do not match or values that are not finite.
    """
    return score("points", real, fake, modes, std)[0]


def _split(found: dict[str, Any]) -> Scores:
    known = {key for metric in metrics() for key in metric.quantities}
    return {k: v for k, v in found.items() if k in known}, {k: v for k, v in found.items() if k not in known}
