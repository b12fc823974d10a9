"""SDKL: a VAE and a GAN on one model, which together descend the symmetrised KL divergence.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Algorithm 1
and Section 4.1. Of the densities p of the model and p* of the data, KL(p* || p) is bounded by the VAE's loss L_VAE, and
KL(p || p*) has the gradient of -E_{x~p}[a(x)] with the discriminator's logit a held constant. Both terms mean the same
p(x|z), so D is shown samples of it, not means: what the noise model is for the likelihood, Gaussian noise on D's second
layer, is added to generated images there. (D learns to see that noise, as the paper finds; see ``sdkl_ns``.)
"""

from typing import Any

import torch
from torch import Tensor

from latent_ot.losses.adversarial import gan_discriminator
from latent_ot.losses.divergences import SYMMETRIC_KL
from latent_ot.methods._adversarial_vae import AdversarialVae, AdversarialVaeConfig, frozen
from latent_ot.stage import Batch


class SdklConfig(AdversarialVaeConfig):
    """Settings of SDKL."""


class Sdkl(AdversarialVae):
    """Encoder E, generator G, discriminator D."""

    version = 1
    Config = SdklConfig
    replayable = True

    def logits_of_generated(self, mean: Tensor) -> Tensor:
        """Return D's logits (n, 1) of a sample of p(x|z) for each image G(z) = ``mean``."""
        features = self.D.features(mean)
        noise = self.noise(len(features), features[0].numel()).view_as(features)
        return self.D.score(features + self.config.sigma * noise)

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's logits of images, and of samples of p(x|z) for generated ones."""
        return self.scores(real), self.logits_of_generated(self.to_network(fake)).flatten()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: E descends L_VAE and G descends L_SDKL, both on samples that are drawn before either step."""
        optimizers: Any = self.optimizers()
        e_optimizer, g_optimizer, d_optimizer = optimizers
        *draws, x = self.to_network(batch.image).chunk(self.config.n_critic + 1)
        for real in draws:
            with torch.no_grad():
                fake = self.G(self.noise(len(real), self.latent_dim))
            d_loss = gan_discriminator(self.D(real), self.logits_of_generated(fake))
            self.descend(d_loss + self.regularizer(), discriminator=d_optimizer)
        with frozen(self.D):
            nll, kl = self.vae_terms(x)
            fake = self.G(self.noise(len(x), self.latent_dim))
            g_loss = SYMMETRIC_KL.generated(self.logits_of_generated(fake)).mean()
            # L_SDKL = L_VAE + g_loss; the second does not depend on E, whose gradient is L_VAE's alone.
            self.descend(nll + kl + g_loss, encoder=e_optimizer, generator=g_optimizer)
        self.follow(discriminator=d_loss, kl=kl, reconstruction=nll, generator=g_loss)
