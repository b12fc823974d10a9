"""Adversarial losses on logits (GAN) or scores (WGAN, hinge), each to be minimised by the network it is named after."""

from torch import Tensor
from torch.nn.functional import relu, softplus


def gan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E log D(x) - E log(1 - D(G(z))) of logits (m,) or (m, 1), computed without ever forming D.

    Goodfellow et al., "Generative Adversarial Nets", Eq. (1).
    """
    return softplus(-real).mean() + softplus(fake).mean()


def gan_generator(fake: Tensor, saturating: bool = False) -> Tensor:
    """Return -E log D(G(z)) of logits, or E log(1 - D(G(z))) where ``saturating`` (the minimax form).

    Goodfellow et al., "Generative Adversarial Nets", Section 3: the first has the same fixed point and does not vanish
    where the discriminator wins.
    """
    return -softplus(fake).mean() if saturating else softplus(-fake).mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Return E f(G(z)) - E f(x); its negative estimates the Wasserstein-1 distance once f is 1-Lipschitz.

    Arjovsky et al., "Wasserstein GAN", Eq. (2).
    """
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Return -E f(G(z))."""
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Return E max(0, 1 - f(x)) + E max(0, 1 + f(G(z))); the generator's side is ``wasserstein_generator``.

    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", Eqs. (16) and (17).
    """
    return relu(1 - real).mean() + relu(1 + fake).mean()
