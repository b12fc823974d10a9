"""All metrics of one run, under the names that its record and the tables use."""

import math
import numbers
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from latent_ot.discovery import broken, plugin_of
from latent_ot.errors import TooFew
from latent_ot.metrics.base import Measures, Metric, keys_of, metrics
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.pairwise import Features, sweep

Scores = tuple[dict[str, float], dict[str, Any]]
"""Metrics, and curves."""
T = TypeVar("T")


def score(measures: Measures, *given: Any, reasons: dict[str, str] | None = None) -> Scores:
    """Return what every metric of some measures makes of what it is given; see ``Metric``.

    ``reasons``: key -> why there is no figure; what too few samples do not allow goes there.

    Raises:
        TooFew: without ``reasons``, for fewer samples than one of the metrics needs.
    """
    found: dict[str, Any] = {}
    for metric in metrics(measures):
        found |= _able(metric, reasons, partial(_measure, metric, *given)) or {}
    return _split(found)


def _measure(metric: type[Metric], *given: Any) -> Mapping[str, Any]:
    return measured(metric, metric.compute(*given))


def _able(metric: type[Metric], reasons: dict[str, str] | None, make: Callable[[], T]) -> T | None:
    """Return what is made; None, with the reason why a metric has no figures, where samples are too few."""
    try:
        return make()
    except TooFew as reason:
        if reasons is None:
            raise
        reasons |= dict.fromkeys(metric.quantities, str(reason))
        return None


def measured(metric: type[Metric], found: Any) -> Mapping[str, Any]:
    """Return what a metric made of what it was given: its quantities, each a finite number, and curves.

    Raises:
        ContractError: naming its file, for anything else.
    """
    if not isinstance(found, Mapping):
        raise broken(metric, f"compute returns {type(found).__name__}; allowed: a mapping with its quantities")
    lacking = sorted(metric.quantities.keys() - found.keys())
    if lacking and plugin_of(metric):  # the evaluation itself adds some of the suite's
        raise broken(metric, f"compute returns no {', '.join(lacking)}; allowed: a mapping with its quantities")
    for key in metric.quantities.keys() & found.keys():
        value = found[key]
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise broken(metric, f"compute returns {key} = {value!r}; allowed: a finite number")
    return found


def score_images(real: FeatureSet, fake: FeatureSet, seed: int, reasons: dict[str, str] | None = None) -> Scores:
    """Return metrics and curves of generated images against real ones; ``seed`` is that of the PRD clusterings.

    Metrics of pairs share one pass over them. ``reasons``: see ``score``.

    Raises:
        InputError: sets of different size, or values that are not finite.
        TooFew: without ``reasons``, too few samples (IS needs 10).
    """
    values, curves = score("samples", real, fake, seed, reasons=reasons)
    try:
        features = Features(real.features, fake.features)
    except TooFew as reason:
        if reasons is None:
            raise
        reasons |= dict.fromkeys(keys_of("pairs"), str(reason))
        return values, curves
    made = ((metric, _able(metric, reasons, partial(metric.compute, features))) for metric in metrics("pairs"))
    visitors = [(metric, visitor) for metric, visitor in made if visitor is not None]
    sweep(features, *(visitor for _, visitor in visitors))
    of_pairs = [measured(metric, visitor.result()) for metric, visitor in visitors]
    return values | {key: value for found in of_pairs for key, value in found.items()}, curves


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
