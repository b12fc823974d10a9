"""Five 2-D sets made in code: 60,000 training and 10,000 test points from fixed seeds.

``moons`` and ``circles``: scikit-learn's shapes with noise 0.05, the inner circle at half the radius (the 2-D protocol
of AE-OTtrans/AE-OTgen). ``ring8``, ``grid25`` and ``spiral20``: equally weighted Gaussian mixtures after iWGAN, whose
paper prints no scales: a ring of radius 2 with standard deviation 0.02; the lattice {-4, -2, 0, 2, 4}^2 with 0.05, all
divided by 2.828; and a spiral whose radius grows from 0.1 to 2 over three half-turns with 0.02.
"""

from pathlib import Path

import numpy as np

from latent_ot.datasets.base import Source
from latent_ot.datasets.order import numpy_generator
from latent_ot.datasets.prepared import Splits

COUNTS = {"train": 60_000, "test": 10_000}
GRID_SCALE = 2.828


def _ring() -> tuple[np.ndarray, float]:
    angle = 2 * np.pi * np.arange(8) / 8
    return 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.02


def _grid() -> tuple[np.ndarray, float]:
    line = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2) / GRID_SCALE, 0.05 / GRID_SCALE


def _spiral() -> tuple[np.ndarray, float]:
    radius, angle = np.linspace(0.1, 2, 20), np.linspace(0, 3 * np.pi, 20)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), 0.02


MIXTURES = {"ring8": _ring, "grid25": _grid, "spiral20": _spiral}


class Toy(Source):
    """The five 2-D sets; labels are the component or the half that a point belongs to."""

    names = ("moons", "circles", "ring8", "spiral20", "grid25")
    kind = "points"
    shareable = True

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
            points, labels = make_moons(count, noise=0.05, random_state=state)
        else:
            points, labels = make_circles(count, noise=0.05, factor=0.5, random_state=state)
        return points.astype(np.float32), labels.astype(np.int64)
