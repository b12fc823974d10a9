"""Budgets and defaults, read from ``benchmarks/budgets.yaml``, and searched rates from ``benchmarks/rates.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from latent_ot.errors import choose
from latent_ot.files import PACKAGE, is_checkout, read_yaml

TRAVEL = "travel"
"""The searched setting that is no rate: how far codes of a table go has a meaning at every length and size."""


@cache
def benchmarks() -> Path:
    """Return the folder of the suite's data: beside the package in a checkout, inside it in a wheel."""
    return PACKAGE.parent / "benchmarks" if is_checkout() else PACKAGE / "_benchmarks"


@cache
def settings() -> dict[str, Any]:
    """Return ``benchmarks/budgets.yaml``."""
    return read_yaml(benchmarks() / "budgets.yaml")


@cache
def rates() -> dict[str, dict[str, dict[str, Any]]]:
    """Return ``benchmarks/rates.yaml``: kind of data, "image" or "points" -> part of a method -> settings."""
    return read_yaml(benchmarks() / "rates.yaml")


@dataclass(frozen=True)
class Budget:
    """How many images and, for a latent sampler, codes a stage may draw, at which width, and how to reconstruct.

    ``widths``: factors of the stages that have one of their own, by name. ``rates``: settings that stand in the place
    of a stage's defaults, by name: what a search found for trainings of this length. ``sampler_steps``: how many steps
    a latent sampler makes, whatever it draws in one; ``codes`` is then None.
    """

    name: str
    images: int
    codes: int | None
    width: float
    reconstruction: dict[str, int]
    widths: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sampler_steps: int | None = None

    def codes_of(self, rows: int) -> int:
        """Return how many codes a latent sampler may draw that takes ``rows`` of them a step."""
        return self.sampler_steps * rows if self.codes is None else self.codes  # type: ignore[operator]  # one is stated

    def width_of(self, name: str) -> float:
        """Return the factor on the hidden widths of a stage's networks."""
        return self.widths.get(name, self.width)


def length(paper: str) -> str:
    """Return the name of the budget that is as long as a paper trains."""
    return settings()["lengths"][choose("paper", paper, settings()["lengths"])]


def budget(name: str, dataset: str, count: int, kind: str = "image") -> Budget:
    """Return the budget called ``name`` for a data set of ``count`` training examples, "image" or "points".

    Raises:
        InputError: for an unknown name, with the allowed ones.
    """
    row = settings()["budgets"][choose("budget", name, settings()["budgets"])]
    images = row.get("points") if kind == "points" else row.get("images")
    if images is None:
        epochs = row["epochs"]
        family = next((key for key in epochs if dataset.startswith(key)), "default")
        images = epochs[family] * count
    steps = row.get("sampler_steps", {}).get(kind)
    width, widths = float(row["width"]), row.get("widths", {})
    found = rates()[kind]
    if not row.get("searched"):
        known = any(fnmatchcase(dataset, pattern) for pattern in settings()["printed_on"])
        found = {} if known else {part: given for part, given in found.items() if TRAVEL in given}
    return Budget(name, int(images), row.get("codes"), width, dict(row["reconstruction"]), widths, found, steps)
