"""Losses whose gradient is that of a divergence although the discriminator is held constant.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Section 3.1.
With data density p*, model density p and r = p*/p, most divergences have the gradient, Eq. (11),

    grad Div = E_{x~p}[A(r(x)) grad log p(x)] + E_{x~p*}[B(r(x)) grad log p(x)],

so that with r held constant the loss E_{x~p}[A(r(x))] + E_{x~p*}[B(r(x)) log p(x)], Eq. (13), has it, too: its first
term moves samples as a GAN does, and where B <= 0 its second one is bounded by a VAE's bound on log p(x). A
discriminator D of real against generated knows r = D/(1-D): its logit a is log r, and A and B are functions of a here,
so that no ratio is ever formed. The formulas of the paper's text are lost; these are derived anew from the divergences.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Divergence:
    """A divergence between p* and p by its A and B, functions of a = log(p*/p)."""

    A: Callable[[Tensor], Tensor]
    B: Callable[[Tensor], Tensor]

    def generated(self, logits: Tensor) -> Tensor:
        """Return A at the logits of generated images; their mean is the loss's first term.

        The gradient is meant to reach the generator through the images, with the discriminator's weights frozen.
        """
        return self.A(logits)

    def real(self, logits: Tensor, log_likelihood: Tensor) -> Tensor:
        """Return B log p at real images, (m,); their mean is the loss's second term.

        ``logits`` (m,) get no gradient. ``log_likelihood`` (m,): log p(x), or a lower bound of it where B <= 0.
        """
        return self.B(logits).detach() * log_likelihood

    def __add__(self, other: "Divergence") -> "Divergence":
        return Divergence(lambda a: self.A(a) + other.A(a), lambda a: self.B(a) + other.B(a))

    def without_likelihood(self) -> "Divergence":
        """Return the form that expects over generated images alone, E_{p*}[B ...] = E_p[r B ...], Eq. (9).

        Its gradient is the same, but where the densities hardly overlap r = exp(a) makes it useless.
        """
        return Divergence(lambda a: self.A(a) + a.exp() * self.B(a), torch.zeros_like)


REVERSE_KL = Divergence(A=torch.neg, B=torch.zeros_like)
"""KL(p || p*): E_p[log (1-D)/D] = -E_p[a], the generator's loss of Huszar's "alternative update rule"."""

FORWARD_KL = Divergence(A=torch.zeros_like, B=lambda a: -torch.ones_like(a))
"""KL(p* || p): -E_{p*}[log p], what a VAE bounds."""

SYMMETRIC_KL = FORWARD_KL + REVERSE_KL
"""KL(p* || p) + KL(p || p*), Section 4.1."""

JENSEN_SHANNON = Divergence(
    A=lambda a: 0.5 * (logsigmoid(-a) + torch.sigmoid(a)),
    B=lambda a: -0.5 * torch.sigmoid(-a),
)
"""KL(p* || m)/2 + KL(p || m)/2 with m = (p* + p)/2: A = (log(1-D) + D)/2 and B = -(1-D)/2."""
