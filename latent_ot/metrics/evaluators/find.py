"""Evaluators by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from latent_ot.errors import choose
from latent_ot.metrics.evaluators.base import WEIGHTS, Evaluator

if TYPE_CHECKING:  # listing evaluators needs no torch
    import torch


def names() -> list[str]:
    """Return the evaluators that ``load_evaluator`` knows: ``inception`` and those whose weights are in the package."""
    return sorted({"inception", *(path.stem for path in WEIGHTS.glob("*.safetensors"))})


def evaluator_class(name: str) -> type[Evaluator]:
    """Return the class of the evaluator called ``name``."""
    if name == "inception":
        from latent_ot.metrics.evaluators.inception import Inception

        return Inception
    from latent_ot.metrics.evaluators.small import Small

    return Small


def load_evaluator(name: str, weights: Path | None = None, device: "torch.device | str" = "cpu") -> Evaluator:
    """Load an evaluator by name.

    Args:
        name: one of ``names()``; with ``weights``, any other name for a classifier of one's own.
        weights: file to load instead of the packaged (or downloaded) one.
        device: where the network runs.

    Raises:
        InputError: if the name is unknown, or the weights are missing or differ from their recorded checksum.
    """
    if name == "inception":
        from latent_ot.metrics.evaluators.inception import Inception

        return Inception(weights, device)
    from latent_ot.metrics.evaluators.small import Small

    if weights is None:
        choose("evaluator", name, names())
    return Small(name, weights or WEIGHTS / f"{name}.safetensors", device)
