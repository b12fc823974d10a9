"""What a file of metrics states of them: what they measure, which figures of a record they make, and their version."""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Literal

from latent_ot.discovery import defined, modules

Measures = Literal["samples", "points", "reconstructions", "walks", "codes", "images"]


class Metric:
    """One subclass in each file, at its end.

    ``version``: raised when its numbers change. ``quantities``: the keys of a record's metrics that it makes.
    ``measures``: what is given to ``compute``, the function that makes them.
    """

    version: ClassVar[int]
    quantities: ClassVar[tuple[str, ...]]
    measures: ClassVar[Measures]
    compute: ClassVar[Callable[..., Any]]


@cache
def metrics() -> tuple[type[Metric], ...]:
    """Return every metric of the files in this folder."""
    return tuple(metric for module in modules("latent_ot.metrics") for metric in defined(module, Metric))


def metrics_for(measures: Measures) -> dict[str, int]:
    """Return class name -> version of every metric of ``measures``, e.g. of "samples"."""
    return {metric.__name__: metric.version for metric in metrics() if metric.measures == measures}
