"""What a file of metrics states of them: what they measure, which figures of a record they make, and their version."""

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

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
    paths = sorted(Path(__file__).parent.glob("[!_]*.py"))
    modules = [importlib.import_module(f"{__package__}.{path.stem}") for path in paths if path != Path(__file__)]
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Metric) and value.__module__ == module.__name__
    )


def metrics_for(measures: Measures) -> dict[str, int]:
    """Return class name -> version of every metric of ``measures``, e.g. of "samples"."""
    return {metric.__name__: metric.version for metric in metrics() if metric.measures == measures}
