"""Draw from a finished model in fixed chunks, each with a generator of its own: no sample depends on a batch size."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latent_ot.bench import contract
from latent_ot.methods._inversion import unit_of
from latent_ot.methods.base import Method, Pair
from latent_ot.seeding import generator
from latent_ot.stage import as_float

CHUNK = 500  # floating-point sums change with the batch, so the chunk is part of what a sample is


class Draws:
    """What this file does, as a part of every score: its version is raised when samples or reconstructions change."""

    version = 1


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
        chunks.append(quantise(contract.sample(model, CHUNK, generator(seed, "sample", index))))
        tick(min(n, (index + 1) * CHUNK))
    return torch.cat(chunks)[:n]


@torch.no_grad()
def draw_codes(model: Method | Pair, n: int, seed: int) -> Tensor:
    """Return the codes (n, d) behind the samples that ``draw`` returns for the same arguments, on the CPU."""
    seeds = (generator(seed, "sample", index) for index in range(-(-n // CHUNK)))
    return torch.cat([contract.sample_latent(model, CHUNK, g).cpu() for g in seeds])[:n]


@torch.no_grad()
def draw_between(model: Method | Pair, n: int, seed: int, codes: Tensor | None = None) -> Tensor:
    """Draw ``n`` images, uint8 (n, C, H, W), at random points of straight lines between random pairs of codes.

    Table 3 of the GLDO paper, which prints neither pairs nor points: here pairs of ``codes`` (N, d), those of training
    images, or of the method's own draws where there are none, and a uniform point of each line, mapped onto the set of
    valid codes.
    """
    chunks = []
    for index in range(-(-n // CHUNK)):
        g = generator(seed, "between", index)
        if codes is None:
            a, b = contract.sample_latent(model, 2 * CHUNK, g).chunk(2)
        else:
            a, b = codes[torch.randint(len(codes), (2 * CHUNK,), generator=g).to(codes.device)].chunk(2)
        t = torch.rand(CHUNK, 1, generator=g).to(a.device)
        chunks.append(quantise(contract.decode(model, model.project(torch.lerp(a, b, t)))))
    return torch.cat(chunks)[:n]


@torch.no_grad()
def contest(model: Method, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the adversary's scores (n,), (n,), on the CPU, of held-out examples (n, ...) and of as many samples.

    Its batch normalisation takes real and generated examples apart, as in training. Both are as stored, uint8 images
    or points.

    Raises:
        Declined: if the method has no adversary.
    """
    chunks = zip(real.split(CHUNK), fake.split(CHUNK), strict=True)
    with _normalising_batches(model.get_submodule(model.adversary) if model.adversary else nn.Identity()):
        judged = [model.judge(*(as_float(part).to(model.device) for part in pair)) for pair in chunks]
    real_scores, fake_scores = zip(*judged, strict=True)
    return torch.cat(real_scores).cpu(), torch.cat(fake_scores).cpu()


@contextmanager
def _normalising_batches(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation in a network in eval mode use each batch's own statistics, and keep its running ones."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer in layers:
            layer.training, layer.track_running_stats = False, True


class Rebuilt(NamedTuple):
    """Codes (n, d), on the CPU, their images as uint8, and those after half of a search, None where an encoder is."""

    codes: Tensor
    images: Tensor
    halfway: Tensor | None


def rebuild(model: Method | Pair, images: Tensor, seed: int, steps: int) -> Rebuilt:
    """Reconstruct held-out images, float (n, C, H, W) in [0, 1]; codes are sought from drawn ones.

    A search is two searches, each of half the ``steps``: the first is complete by itself, its own step sizes falling to
    zero, and the second begins where it ended, with large steps again. So what a search of half the steps finds is
    known, too, and costs nothing.
    """
    searched, codes, rebuilt, halfway = model.searches(), [], [], []
    for index, chunk in enumerate(images.split(CHUNK)):
        with torch.no_grad():
            drawn = contract.sample_latent(model, CHUNK, generator(seed, "reconstruct", index))
        unit, start, half = unit_of(drawn), drawn[: len(chunk)], steps // 2
        if searched:
            start = model.infer(chunk, start, half, unit).detach()
            halfway.append(_decoded(model, start))
        found = model.infer(chunk, start, steps - half, unit).detach()
        rebuilt.append(_decoded(model, found))
        codes.append(found.cpu())
    return Rebuilt(torch.cat(codes), torch.cat(rebuilt), torch.cat(halfway) if searched else None)


@torch.no_grad()
def _decoded(model: Method | Pair, codes: Tensor) -> Tensor:
    return quantise(contract.decode(model, codes))


@torch.no_grad()
def walk(model: Method | Pair, rows: int, steps: int, seed: int) -> Tensor:
    """Return ``rows`` walks of ``steps`` images, uint8 (rows, steps, C, H, W), in straight lines between drawn ends.

    The ends are source points where a latent sampler moves those to codes, and codes anywhere else.
    """
    g = generator(seed, "interpolate")
    latent = model.latent if isinstance(model, Pair) and model.latent.maps else None
    ends = contract.sample_latent(model, 2 * rows, g) if latent is None else latent.source(2 * rows, g)
    a, b = ends.chunk(2)
    t = torch.linspace(0, 1, steps, device=ends.device, dtype=ends.dtype)[None, :, None]
    path = ((1 - t) * a[:, None] + t * b[:, None]).flatten(0, 1)
    codes = model.project(path if latent is None else latent.transport(path))
    return quantise(torch.cat([contract.decode(model, chunk) for chunk in codes.split(CHUNK)])).unflatten(
        0, (rows, steps)
    )
