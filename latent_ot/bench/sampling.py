"""Draw from a finished model in fixed chunks, each with a generator of its own: no sample depends on a batch size."""

from collections.abc import Callable

import torch
from torch import Tensor

from latent_ot.methods.base import Method, Pair
from latent_ot.seeding import generator

CHUNK = 500  # floating-point sums change with the batch, so the chunk is part of what a sample is


def quantise(images: Tensor) -> Tensor:
    """Return images in [0, 1] as uint8, clamped and rounded, on the CPU; points (n, 2) as float32."""
    if images.ndim == 2:
        return images.float().cpu()
    return images.clamp(0, 1).mul(255).round_().to(torch.uint8).cpu()


@torch.no_grad()
def draw(model: Method | Pair, n: int, seed: int, tick: Callable[[int], None] = lambda done: None) -> Tensor:
    """Draw ``n`` samples: uint8 (n, C, H, W), or points (n, 2).

    Args:
        model: in eval mode.
        n: how many; the first k of n samples are the first k of any larger draw up to whole chunks of 500.
        seed: of the run.
        tick: called with the number drawn after each chunk.
    """
    chunks = []
    for index in range(-(-n // CHUNK)):
        chunks.append(quantise(model.sample(CHUNK, generator(seed, "sample", index))))
        tick(min(n, (index + 1) * CHUNK))
    return torch.cat(chunks)[:n]


def rebuild(model: Method | Pair, images: Tensor, seed: int, steps: int) -> Tensor:
    """Reconstruct held-out images, float (n, C, H, W) in [0, 1], as uint8; codes are sought from drawn ones."""
    chunks = []
    for index, chunk in enumerate(images.split(CHUNK)):
        with torch.no_grad():
            start = model.sample_latent(len(chunk), generator(seed, "reconstruct", index))
        chunks.append(quantise(model.reconstruct(chunk, start, steps).detach()))
    return torch.cat(chunks)
