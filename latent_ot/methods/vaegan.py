"""VAE/GAN: a VAE with its noise model in a layer of the discriminator, whose generator also fools that discriminator.

Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond Pixels Using a Learned Similarity Metric", ICML 2016,
https://arxiv.org/abs/1512.09300, Algorithm 1, as Berger and Sebag, "New Losses for Generative Adversarial Learning",
2018, compare with it: the discriminator tells images from their reconstructions, the generator's adversarial loss
-log D is on reconstructions, too, and never reaches the encoder, and settings are those of their other models. The
original ones, as far as the suite has them (it keeps Adam where the release has RMSProp with a falling rate, and -log D
where the release has log(1 - D)), are

    --set vaegan.network=vaegan --set vaegan.n_critic=1 --set vaegan.lr=3.9e-4 --set vaegan.lr_d=3.9e-4
    --set vaegan.orthogonal=0 --set vaegan.gamma=1e-6 --set vaegan.balance=true --set vaegan.fakes=prior

or ``fakes=both`` as in the paper's own Algorithm 1. Release: https://github.com/andersbll/autoencoding_beyond_pixels.
"""

from collections.abc import Hashable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from latent_ot.losses.adversarial import gan_discriminator, gan_generator
from latent_ot.losses.gaussian import gaussian_nll, kl_to_standard_normal
from latent_ot.methods._adversarial_vae import AdversarialVae, AdversarialVaeConfig, frozen
from latent_ot.ranks import mean
from latent_ot.stage import Batch

EQUILIBRIUM, MARGIN = 0.68, 0.35  # nats of a cross-entropy, near log 2 where D guesses; the release's for CelebA


class VaeganConfig(AdversarialVaeConfig):
    """Settings of VAE/GAN."""

    fakes: Literal["reconstructions", "prior", "both"] = Field(
        "reconstructions", description="what D and the adversarial loss see; SDKL, Section 4.1 (VAE/GAN: both)"
    )
    gamma: float = Field(
        1.0, gt=0, description="weight of the reconstruction in G's loss; SDKL, Section 4.1 (VAE/GAN's release: 1e-6)"
    )
    balance: bool = Field(False, description="rest D or G when the other is far behind; VAE/GAN's release")


def learners(real: Tensor, fake: Tensor) -> tuple[bool, bool]:
    """Return whether D and G may learn from a step with these logits (m, 1).

    D rests where it tells either kind of image too well, G where D tells either too badly; where both would, neither.
    """
    costs = mean(torch.stack([softplus(-real).mean(), softplus(fake).mean()]))
    # The only place where a step waits for the device: whether an optimizer steps at all is decided on the host.
    easy, hard = bool((costs < EQUILIBRIUM - MARGIN).any()), bool((costs > EQUILIBRIUM + MARGIN).any())
    return (not easy or hard, not hard or easy)


class Vaegan(AdversarialVae):
    """Encoder E, generator G, discriminator D."""

    version = 1
    Config = VaeganConfig
    replayable = True
    config: VaeganConfig

    @property
    def phase(self) -> Hashable | None:
        """None where each step decides who learns."""
        return None if self.config.balance else ()

    def code(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return codes z ~ q(z|x)."""
        return mean + log_std.exp() * self.noise(*mean.shape)

    def generate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return G(z) and the images to be told from real ones: these, or samples of the prior, or both."""
        if self.config.fakes == "reconstructions":
            images = self.G(z)
            return images, images
        images = self.G(torch.cat([z, self.noise(*z.shape)]))
        return images[: len(z)], images if self.config.fakes == "both" else images[len(z) :]

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's logits of images, and of their reconstructions where it is not shown samples."""
        return self.scores(real), self.scores(
            self.decode(self.encode(real)) if self.config.fakes == "reconstructions" else fake
        )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Some discriminator steps, then E on L_VAE and G on gamma times its reconstruction and on -log D."""
        c = self.config
        optimizers: Any = self.optimizers()
        e_optimizer, g_optimizer, d_optimizer = optimizers
        *draws, x = self.to_network(batch.image).chunk(c.n_critic + 1)
        d_learns = g_learns = True
        for real in draws:
            with torch.no_grad():
                _, fake = self.generate(self.code(*self.posterior(real)))
            real_logits, fake_logits = self.D(real), self.D(fake)
            d_loss = gan_discriminator(real_logits, fake_logits)
            if c.balance:
                d_learns, g_learns = learners(real_logits, fake_logits)
            if d_learns:
                self.descend(d_loss + self.regularizer(), discriminator=d_optimizer)
        with frozen(self.D):
            features, (mean, log_std) = self.D.features(x), self.posterior(x)
            z = self.code(mean, log_std)
            with frozen(self.G):
                nll = gaussian_nll(features, self.D.features(self.G(z)), self.log_sigma).mean()
                kl = kl_to_standard_normal(mean, log_std).mean()
                self.descend(nll + kl, encoder=e_optimizer)
            reconstruction, fake = self.generate(z.detach())
            g_loss = gan_generator(self.D(fake))
            if g_learns:
                g_nll = gaussian_nll(features, self.D.features(reconstruction), self.log_sigma).mean()
                self.descend(c.gamma * g_nll + g_loss, generator=g_optimizer)
        self.follow(discriminator=d_loss, kl=kl, reconstruction=nll, generator=g_loss)
