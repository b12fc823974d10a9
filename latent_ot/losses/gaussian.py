"""Gaussian terms of a variational bound, per example and in nats."""

import math

import torch
from torch import Tensor


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
