"""Penalties on a critic's input gradient. The critic must treat examples one by one: no batch normalisation."""

from collections.abc import Callable

import torch
from torch import Tensor


def interpolates(real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """Return t x + (1 - t) x~ for examples (m, ...) and one weight per example, ``t`` (m,) in [0, 1].

    Gulrajani et al., "Improved Training of Wasserstein GANs", Algorithm 1, line 6.
    """
    return torch.lerp(fake.to(real), real, t.view(-1, *[1] * (real.dim() - 1)))


def gradient_norms(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return ||grad f(x_i)||_2 of each example, (m,), differentiable in the critic's parameters.

    ``points``: images (m, C, H, W) or vectors (m, d); ``critic`` maps them to (m,) or (m, 1).
    """
    points = points.detach().requires_grad_(True)
    return slopes(critic(points), points)


def slopes(values: Tensor, points: Tensor) -> Tensor:
    """Return ``gradient_norms`` from a critic's values (m,) or (m, 1) at points that require a gradient."""
    # The gradient of the sum is every example's own gradient, as long as no example sees another.
    (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=True)
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1)


def gradient_penalty(critic: Callable[[Tensor], Tensor], points: Tensor, target: float = 1.0) -> Tensor:
    """Return the mean of (||grad f(x_i)||_2 - target)^2, a scalar; arguments as in ``gradient_norms``.

    Gulrajani et al., "Improved Training of Wasserstein GANs", Eq. (3).
    """
    return (gradient_norms(critic, points) - target).square().mean()


def divergence_penalty(critic: Callable[[Tensor], Tensor], points: Tensor, k: float = 2.0, p: float = 6.0) -> Tensor:
    """Return k times the mean of ||grad f(x_i)||_2^p, a scalar; arguments as in ``gradient_norms``.

    Wu et al., "Wasserstein Divergence for GANs", whose experiments choose k = 2 and p = 6. No slope above 0 is free.
    """
    return k * gradient_norms(critic, points).pow(p).mean()
