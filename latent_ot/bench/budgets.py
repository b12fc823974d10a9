"""Budgets and defaults, read from ``benchmarks/budgets.yaml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from latent_ot.errors import choose


@cache
def benchmarks() -> Path:
    """Return the folder of the suite's data: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    beside = package.parent / "benchmarks"
    return beside if (beside / "budgets.yaml").exists() else package / "_benchmarks"


@cache
def settings() -> dict[str, Any]:
    """Return ``benchmarks/budgets.yaml``."""
    return yaml.safe_load((benchmarks() / "budgets.yaml").read_text())


@dataclass(frozen=True)
class Budget:
    """How many images and, for a latent sampler, codes a stage may draw, at which width, and how to reconstruct."""

    name: str
    images: int
    codes: int
    width: float
    reconstruction: dict[str, int]


def budget(name: str, dataset: str, count: int, kind: str = "image") -> Budget:
    """Return the budget called ``name`` for a data set of ``count`` training examples, "image" or "points".

    Raises:
        InputError: for an unknown name, with the allowed ones.
    """
    row = settings()["budgets"][choose("budget", name, settings()["budgets"])]
    images = row.get("images")
    if images is None:
        epochs = row["epochs"]
        family = next((key for key in epochs if dataset.startswith(key)), "default")
        images = epochs[family] * count
    codes = row["codes"] if isinstance(row["codes"], int) else row["codes"][kind]
    return Budget(name, int(images), codes, float(row["width"]), dict(row["reconstruction"]))
