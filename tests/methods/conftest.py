import pytest
import torch
from driving import fit

from latent_ot.stage import Batch


@pytest.fixture
def train():
    """Train a method on an iterable of batches, one per outer step."""

    return fit


@pytest.fixture
def blobs():
    """Return a function that makes ``steps`` batches of ``rows`` images (C, 16, 16): a bright square on black."""

    def make(steps, rows, channels=1, seed=0):
        g = torch.Generator().manual_seed(seed)
        batches = []
        for _ in range(steps):
            image = torch.zeros(rows, channels, 16, 16)
            corner = torch.randint(2, 9, (rows, 2), generator=g)
            for x, (i, j) in zip(image, corner.tolist(), strict=True):
                x[:, i : i + 5, j : j + 5] = 1.0
            batches.append(Batch(torch.arange(rows), image))
        return batches

    return make
