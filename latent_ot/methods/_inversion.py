"""Latent optimisation: the codes whose decoded images come nearest to given images, everything else frozen.

Section 4.3 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" reconstructs test images so; it
leaves optimizer and length open.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 500  # images searched together, which bounds the memory of the search


def invert(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    steps: int,
    lr: float = 0.05,
    project: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return codes (n, d) found by ``steps`` Adam steps on each image's own mean squared error, from ``start``.

    An image's search does not depend on which others are searched with it, as long as ``decode`` treats each code alone
    (batch normalisation in eval mode). Of the ``steps + 1`` codes it passes, the best is returned.

    Args:
        decode: codes (n, d) to images (n, ...), differentiable; its parameters get no gradient.
        x: target images (n, ...).
        start: codes (n, d) to begin at.
        steps: Adam steps; 0 returns ``start``.
        lr: Adam's step size.
        project: maps codes onto the set of valid codes after each step.
    """
    with torch.inference_mode(False), torch.enable_grad():
        parts = zip(x.split(CHUNK), start.split(CHUNK), strict=True)
        return torch.cat([_search(decode, target.clone(), z.clone(), steps, lr, project) for target, z in parts])


def _search(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    z: Tensor,
    steps: int,
    lr: float,
    project: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    z = z.detach().requires_grad_()
    adam = torch.optim.Adam([z], lr=lr)
    best, least = z.detach().clone(), x.new_full((len(x),), torch.inf)
    for step in range(steps + 1):
        errors = (decode(z) - x).square().flatten(1).mean(dim=1)
        better = errors.detach() < least
        least = torch.where(better, errors.detach(), least)
        best[better] = z.detach()[better]
        if step < steps:
            (z.grad,) = torch.autograd.grad(errors.sum(), z)
            adam.step()
            if project is not None:
                with torch.no_grad():
                    z.copy_(project(z))
    return best
