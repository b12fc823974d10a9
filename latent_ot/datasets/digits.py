"""scikit-learn's 1,797 handwritten digits (UCI Optical Recognition), 8x8 in 17 levels, resized to 32x32 (bilinear)."""

from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.images import resize, scaled
from latent_ot.datasets.order import held_out
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits

LEVELS, SIZE = 16, 32
TEST, SPLIT = 360, "digits split"  # about 20 %, 36 of each class to within one


class Digits(Source):
    """1,437 training and 360 test images, a fixed stratified split."""

    names = ("digits",)
    version = 1
    evaluator = "digits"
    shareable = True

    def view(self, name: str) -> dict[str, Any]:
        """Name levels, size and split."""
        return {"levels": LEVELS, **scaled(SIZE), "test": TEST, "split": SPLIT}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Scale the levels 0..16 to 0..255 and resize."""
        from sklearn.datasets import load_digits

        found = load_digits()
        images = resize(np.rint(found.images * (255 / LEVELS)).astype(np.uint8), SIZE)
        labels = found.target.astype(np.int64)
        train, test = held_out(labels, TEST, SPLIT)
        return Splits(images[train], images[test], labels[train], labels[test])
