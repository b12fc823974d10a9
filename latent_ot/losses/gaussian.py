"""Gaussian terms of a variational bound, per example and in nats."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

LOG_GAMMA_MIN = -6.0  # on data that can be told exactly the best gamma is 0 and its bound is infinite


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """Return KL(N(mean, diag std^2) || N(0, I)) of each row, (m,), for ``mean`` and ``log_std`` (m, d).

    Kingma and Welling, "Auto-Encoding Variational Bayes", Appendix B.
    """
    return 0.5 * (mean.square() + torch.expm1(2 * log_std) - 2 * log_std).sum(dim=1)


def gaussian_nll(x: Tensor, mean: Tensor, log_gamma: Tensor) -> Tensor:
    """Return -log N(x; mean, gamma^2 I) of each example, (m,), with one scalar gamma for all dimensions.

    ``x`` and ``mean``: (m, ...). The squared error is summed, not averaged, so that it stands in the proportion to the
    KL term that the bound asks for. Dai and Wipf, "Diagnosing and Enhancing VAE Models", Eq. (1) and Section 3.
    """
    squared = (x - mean).square().flatten(1)
    return 0.5 * squared.sum(dim=1) * torch.exp(-2 * log_gamma) + squared.shape[1] * (
        log_gamma + 0.5 * math.log(2 * math.pi)
    )


def bound_terms(
    x: Tensor, posterior: tuple[Tensor, Tensor], noise: Tensor, decode: Callable[[Tensor], Tensor], log_gamma: Tensor
) -> tuple[Tensor, Tensor]:
    """Return -log p(x|z) at z = mean + std * noise and KL(q(z|x) || N(0, I)), both (m,); their sum is -ELBO.

    ``posterior``: mean and logarithm of the standard deviation of q(z|x), (m, d). ``decode``: z (m, d) to the mean of
    p(x|z), of the shape of ``x``.
    """
    mean, log_std = posterior
    nll = gaussian_nll(x, decode(mean + log_std.exp() * noise), log_gamma)
    return nll, kl_to_standard_normal(mean, log_std)
