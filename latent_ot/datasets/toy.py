"""Five 2-D sets made in code: 60,000 training and 10,000 test points from fixed seeds.

``moons`` and ``circles``: scikit-learn's shapes with noise 0.05, the inner circle at half the radius (the 2-D protocol
of AE-OTtrans/AE-OTgen). ``ring8``, ``grid25`` and ``spiral20``: equally weighted Gaussian mixtures after iWGAN, whose
paper prints no scales: a ring of radius 2 with standard deviation 0.02; the lattice {-4, -2, 0, 2, 4}^2 with 0.05, all
divided by 2.828; and a spiral whose radius grows from 0.1 to 2 over three half-turns with 0.02.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.order import numpy_generator
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits

COUNTS = {"train": 60_000, "test": 10_000}
SHAPES: dict[str, dict[str, Any]] = {
    "moons": {"noise": 0.05},
    "circles": {"noise": 0.05, "factor": 0.5},
    "ring8": {"modes": 8, "radius": 2, "std": 0.02},
    "spiral20": {"modes": 20, "radius": [0.1, 2], "half_turns": 3, "std": 0.02},
    "grid25": {"line": [-4.0, -2.0, 0.0, 2.0, 4.0], "std": 0.05, "scale": 2.828},
}


def _ring(modes: int, radius: float, std: float) -> tuple[np.ndarray, float]:
    angle = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), std


def _grid(line: list[float], std: float, scale: float) -> tuple[np.ndarray, float]:
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2) / scale, std / scale


def _spiral(modes: int, radius: list[float], half_turns: int, std: float) -> tuple[np.ndarray, float]:
    r, angle = np.linspace(radius[0], radius[1], modes), np.linspace(0, half_turns * np.pi, modes)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1), std


CENTRES: dict[str, Callable[..., tuple[np.ndarray, float]]] = {"ring8": _ring, "grid25": _grid, "spiral20": _spiral}
MIXTURES = {name: partial(lambda name: CENTRES[name](**SHAPES[name]), name) for name in CENTRES}


class Toy(Source):
    """The five 2-D sets; labels are the component or the half that a point belongs to."""

    names = ("moons", "circles", "ring8", "spiral20", "grid25")
    version = 1
    kind = "points"
    shareable = True

    def view(self, name: str) -> dict[str, Any]:
        """Name counts and shape."""
        return {"counts": COUNTS, **SHAPES[name]}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Draw both splits."""
        train, test = (self._draw(name, split) for split in ("train", "test"))
        return Splits(train[0], test[0], train[1], test[1])

    def mixture(self, name: str) -> tuple[np.ndarray | None, float | None]:
        """Return centres (K, 2) and standard deviation of a Gaussian mixture."""
        return MIXTURES[name]() if name in MIXTURES else (None, None)

    def _draw(self, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        rng, count = numpy_generator(0, f"{name} {split}"), COUNTS[split]
        if name in MIXTURES:
            modes, std = MIXTURES[name]()
            labels = rng.integers(len(modes), size=count)
            return (modes[labels] + std * rng.standard_normal((count, 2))).astype(np.float32), labels
        from sklearn.datasets import make_circles, make_moons

        state = int(rng.integers(2**31))
        if name == "moons":
            points, labels = make_moons(count, random_state=state, **SHAPES[name])
        else:
            points, labels = make_circles(count, random_state=state, **SHAPES[name])
        return points.astype(np.float32), labels.astype(np.int64)
