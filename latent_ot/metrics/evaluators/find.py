"""Evaluators by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from latent_ot.discovery import discover
from latent_ot.errors import choose
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.metrics.evaluators.small import Small

if TYPE_CHECKING:
    import torch


def evaluators() -> dict[str, type[Evaluator]]:
    """Return every evaluator: name -> class."""
    return {name: kind for kind in discover("metrics/evaluators", Evaluator).values() for name in kind.names}


def names() -> list[str]:
    """Return the evaluators that ``load_evaluator`` knows."""
    return sorted(evaluators())


def evaluator_class(name: str) -> type[Evaluator]:
    """Return the class of the evaluator called ``name``; any other name is that of a small classifier of one's own."""
    return evaluators().get(name, Small)


def load_evaluator(name: str, weights: Path | None = None, device: "torch.device | str" = "cpu") -> Evaluator:
    """Load an evaluator by name.

    Args:
        name: one of ``names()``; with ``weights``, any other name for a classifier of one's own.
        weights: file to load instead of the packaged (or downloaded) one.
        device: where the network runs.

    Raises:
        InputError: if the name is unknown, or the weights are missing or differ from their recorded checksum.
    """
    if weights is None:
        choose("evaluator", name, names())
    return evaluator_class(name)(name, weights, device)  # type: ignore[arg-type,call-arg]  # every subclass is built so
