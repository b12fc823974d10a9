"""What golden values are taken on: real digits at 16 pixels, and points and codes by formula."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from latent_ot.datasets.base import load

IMAGES, SIZE = 96, 16


@cache
def digits():
    """Return the data set of scikit-learn's digits."""
    with tempfile.TemporaryDirectory() as folder:
        found = load("digits", Path(folder))
        return np.array(found.train), np.array(found.test)


@cache
def images(channels=1):
    """Return digits as uint8 (96, 16, 16, channels); a colour image has another digit in each channel."""
    rows = digits()[0][: IMAGES + channels - 1, :, :, 0].astype(np.int64)
    half = (rows[:, ::2, ::2] + rows[:, 1::2, ::2] + rows[:, ::2, 1::2] + rows[:, 1::2, 1::2] + 2) // 4
    return np.stack([half[c : c + IMAGES] for c in range(channels)], axis=-1).astype(np.uint8)


def codes(dim, count=IMAGES, clusters=5):
    """Return codes (count, dim), float32: a curve around each of some centres, at another scale in each direction."""
    t = np.arange(count, dtype=np.float64)[:, None]
    k = np.arange(1, dim + 1)
    centres = 3 * np.cos((t % clusters) * 1.7 * k)
    curve = np.sin(t * (0.37 + 0.11 * k) + k) + 0.3 * np.sin(t * 2.3 / k)
    return torch.from_numpy(((centres + curve) * (1 + 0.5 * k) + 0.7 * k).astype(np.float32))


def squashed(dim):
    """Return codes within [0, 1]."""
    x = codes(dim)
    return (x - x.min()) / (x.max() - x.min())


def statistics(x):
    """Return size (root mean square), mean, standard deviation and eight projections, in which every value counts."""
    flat = torch.as_tensor(x).detach().double().flatten()
    places, k = torch.arange(len(flat), dtype=torch.float64), torch.arange(1, 9, dtype=torch.float64)
    projections = torch.cos(torch.outer(k.sqrt() * 1.3, places)) @ (flat - flat.mean()) / max(1, len(flat)) ** 0.5
    found = {
        "size": flat.square().mean().sqrt().item(),
        "mean": flat.mean().item(),
        "std": flat.std(correction=0).item(),
    }
    return {**found, "projections": projections.tolist()}
