"""What a metric states of itself: what it measures, the quantities that it makes of it, and its version."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from latent_ot.discovery import discover

Measures = Literal[
    "samples", "pairs", "pictures", "points", "reconstructions", "walks", "point_walks", "qualities", "codes", "prior",
    "scores", "copies", "images", "clip",
]  # fmt: skip

ALONE: Mapping[str, Measures] = {"clip": "clip"}
"""Evaluator -> what is measured in its features alone."""


class Metric:
    """One subclass in each file, at its end.

    ``version``: raised when its numbers change. ``quantities``: key of a record's metrics -> how tables show it, as a
    literal (see ``quantities.Quantity``), since commands that only read results import no metric. ``measures``: what
    ``compute`` is given, which returns a mapping with those keys; what else is in it is kept as a curve. A number that
    is an ``estimate.Estimate`` brings the interval of its sampling.

    - "samples": ``compute(real, fake, seed)``, two ``FeatureSet`` of one evaluator. Where tables can also be asked for
      other images than samples, as for FID between codes, the evaluation says so.
    - "clip": as "samples", in the features of the evaluator of that name alone.
    - "pairs": ``compute(features)`` returns a visitor of all pairs of features (``pairwise.sweep``), which metrics
      share; its ``result()`` is the mapping.
    - "pictures": ``compute(real, fake)``, the images themselves, (n, C, H, W) uint8.
    - "points": ``compute(real, fake, modes, std)``, draws of points (repeats, n, 2), and the mixture that the real
      ones come from, if they come from one.
    - "reconstructions": ``compute(originals, rebuilt)``, images (n, C, H, W) uint8.
    - "walks": ``compute(walks)``, images (rows, steps, C, H, W) uint8.
    - "point_walks": ``compute(walks, modes, std)``, points (rows, steps, 2) and the mixture that the real ones come
      from; "qualities": ``compute(points, errors, modes, std)``, samples (n, 2) with reconstruction errors (n,).
    - "codes": ``compute(drawn, held_out, training)``, codes (n, d), (m, d), (N, d).
    - "prior": ``compute(codes, drawn)``, codes (n, d) that an encoder gives held-out examples, and draws (m, d) of the
      prior that a method trained end to end samples from.
    - "scores": ``compute(real, fake)``, an adversary's scores of held-out examples (n,) and of samples (m,).
    - "copies": ``compute(training, samples)``, a ``training.Training`` and a ``FeatureSet`` of samples.
    - "images": single ones; no record holds them.
    """

    version: ClassVar[int]
    quantities: ClassVar[Mapping[str, Mapping[str, Any]]]
    measures: ClassVar[Measures]
    compute: ClassVar[Callable[..., Any]]


def metrics(*measures: Measures) -> tuple[type[Metric], ...]:
    """Return every metric of the files in this folder and of the user's own, or those of some measures."""
    every = discover("metrics", Metric).values()
    return tuple(metric for metric in every if not measures or metric.measures in measures)


def metrics_for(*measures: Measures) -> dict[str, int]:
    """Return class name -> version of every metric of some measures, e.g. of "samples"."""
    return {metric.__name__: metric.version for metric in metrics(*measures)}


def keys_of(*measures: Measures) -> list[str]:
    """Return the keys of all quantities of some measures."""
    return [key for metric in metrics(*measures) for key in metric.quantities]
