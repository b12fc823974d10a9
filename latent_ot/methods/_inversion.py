"""Latent optimisation: the codes whose decoded images come nearest to given images, everything else frozen.

Section 4.3 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" reconstructs test images so; it
leaves optimizer and length open. Here Adam's step is a multiple of the spread of codes, so that codes on the unit
sphere of R^100 (spread 0.1) and codes about N(0, I) are sought alike, and it falls to zero along a half cosine.
@@NUMBERS@@
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latent_ot.errors import InputError

CHUNK = 500  # images searched together, which bounds the memory of the search
RATE = 0.3  # Adam's first step size, in units of the codes' spread


class Search:
    """What this file does, as a part of reconstructions by search: its version is raised when the codes found change.

    Version 1 took steps of 0.05 whatever the spread, to the end.
    """

    version = 2


def spread(codes: Tensor) -> float:
    """Return the root mean square, over codes (n, d) and coordinates, of the deviation from their mean.

    Of codes uniform on the unit sphere it is 1 / sqrt(d), of N(0, I) it is 1.
    """
    return float((codes - codes.mean(dim=0)).square().mean().sqrt())


def invert(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    steps: int,
    unit: float | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
    rate: float = RATE,
) -> Tensor:
    """Return codes (n, d) found by ``steps`` Adam steps on each image's own mean squared error, from ``start``.

    Codes are sought in units of ``unit``, so that images found do not change where codes are rescaled and the decoder
    with them. Nor does an image's search depend on which others are searched with it, as long as ``decode`` treats each
    code alone (batch normalisation in eval mode). Of the ``steps + 1`` codes it passes, the best is returned.

    Args:
        decode: codes (n, d) to images (n, ...), differentiable; its parameters get no gradient.
        x: target images (n, ...).
        start: codes (n, d) to begin at.
        steps: Adam steps; 0 returns ``start``.
        unit: the ``spread`` of the codes that ``start`` was drawn from; None: of ``start``.
        project: maps codes onto the set of valid codes after each step.
        rate: Adam's first step size, in units; the last is zero.

    Raises:
        InputError: if there is a step to take and the unit is not positive.
    """
    if steps == 0:
        return start
    unit = spread(start) if unit is None else unit
    if not (unit > 0 and math.isfinite(unit)):
        raise InputError(f"search: start codes have the spread {unit}; allowed: more than 0, of two codes or more")
    with torch.inference_mode(False), torch.enable_grad():
        parts = zip(x.split(CHUNK), start.split(CHUNK), strict=True)
        return torch.cat(
            [_search(decode, target.clone(), z.clone(), steps, unit, project, rate) for target, z in parts]
        )


def _search(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    steps: int,
    unit: float,
    project: Callable[[Tensor], Tensor] | None,
    rate: float,
) -> Tensor:
    u = (start / unit).detach().requires_grad_()
    adam = torch.optim.Adam([u], lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
    best, least = start.detach().clone(), x.new_full((len(x),), torch.inf)
    for step in range(steps + 1):
        z = u * unit
        errors = (decode(z) - x).square().flatten(1).mean(dim=1)
        better = errors.detach() < least
        least = torch.where(better, errors.detach(), least)
        best[better] = z.detach()[better]
        if step < steps:
            (u.grad,) = torch.autograd.grad(errors.sum(), u)
            adam.step()
            falling.step()
            if project is not None:
                with torch.no_grad():
                    u.copy_(project(u * unit) / unit)
    return best
