"""scikit-learn's 1,797 handwritten digits (UCI Optical Recognition), 8x8 in 17 levels, resized to 32x32 (bilinear)."""

from pathlib import Path

import numpy as np

from latent_ot.datasets.base import Source
from latent_ot.datasets.images import resize
from latent_ot.datasets.order import held_out
from latent_ot.datasets.prepared import Splits

TEST = 360  # about 20 %, 36 of each class to within one


class Digits(Source):
    """1,437 training and 360 test images, a fixed stratified split."""

    names = ("digits",)
    evaluator = "digits"
    shareable = True

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Scale the levels 0..16 to 0..255 and resize."""
        from sklearn.datasets import load_digits

        found = load_digits()
        images = resize(np.rint(found.images * (255 / 16)).astype(np.uint8), 32)
        labels = found.target.astype(np.int64)
        train, test = held_out(labels, TEST, "digits split")
        return Splits(images[train], images[test], labels[train], labels[test])
