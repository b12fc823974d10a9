"""Latent optimisation: the codes whose decoded images come nearest to given images, everything else frozen.

Section 4.3 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" reconstructs test images so; it
leaves optimizer and length open. Here Adam's step is a multiple of the spread of codes, so that codes on the unit
sphere of R^100 (spread 0.1) and codes about N(0, I) are sought alike, and it falls to zero along a half cosine.
Adam forgets squared gradients within ten steps: the first ones are many times the last, and under the usual 0.999 they
would hold every later step back.

Measured in dB on 24 held-out digits (models of ``ci`` on mnist5k), by two searches of half the steps each, as
``bench.sampling.rebuild`` has it; in brackets after the first of them:
- 200 steps, forgetting 0.9, first steps of 0.3 and of 0.6 spreads: GLO 28.51 (28.35) and 28.57 (28.42), GLDO 29.68
  (27.56) and 29.71 (27.21). At 0.95 and 0.3: GLO 28.52 (28.17), GLDO 29.37 (26.76), in one search of 200 steps 29.43.
- 800 steps, 0.95 and 0.3: GLO 28.60 (28.52), GLDO 30.72 (30.46); on 12 digits, 0.9 and 0.6: GLDO 29.77 (26.89) in 200
  steps, 30.99 (30.78) in 1,000, 31.10 (30.92) in 2,000.
- 200 steps at 0.999, on 32 digits, first steps of 0.3, 0.6 and 1.0: GLO 28.34 (27.81), 28.41 (28.20), 28.44 (28.28),
  GLDO 29.19 (26.13), 29.16 (25.58), 28.75 (23.95).
So two searches cost nothing, and GLDO has further to go than GLO after 200 steps: records say so, and tables mark it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.samplers.base import spread

CHUNK = 500  # images searched together, which bounds the memory of the search
RATE = 0.6  # Adam's first step size, in units of the codes' spread


class Search:
    """What this file does, as a part of reconstructions by search: its version is raised when the codes found change.

    Version 1 took steps of 0.05 whatever the spread, to the end.
    """

    version = 2


def unit_of(codes: Tensor) -> float:
    """Return the spread of codes (n, d) per coordinate: 1 of N(0, I), 1 / sqrt(d) of codes uniform on a unit sphere.

    0 of codes that are all alike.
    """
    return 0.0 if (codes == codes[0]).all() else spread(codes) / codes.shape[1] ** 0.5


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
    unit = unit_of(start) if unit is None else unit
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
    adam = torch.optim.Adam([u], lr=rate, betas=(0.9, 0.9))
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
