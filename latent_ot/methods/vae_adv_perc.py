"""VAE with an adversarial perceptual loss: its noise model lies in the discriminator's second layer, not on pixels.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Section 4.2,
the model that the paper calls VAE in its Fig. 1, after Dosovitskiy and Brox, "Generating Images with Perceptual
Similarity Metrics based on Deep Networks", NeurIPS 2016. A discriminator learns to tell images from samples of the
prior, but only its features are used: encoder and generator descend the VAE's loss and never try to fool it.
"""

from typing import Any

import torch

from latent_ot.losses.adversarial import gan_discriminator
from latent_ot.methods._adversarial_vae import AdversarialVae, AdversarialVaeConfig, frozen
from latent_ot.stage import Batch


class VaeAdvPercConfig(AdversarialVaeConfig):
    """Settings of the VAE with an adversarial perceptual loss."""


class VaeAdvPerc(AdversarialVae):
    """Encoder E, generator G, and a discriminator D that gives features."""

    version = 1
    Config = VaeAdvPercConfig
    replayable = True

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Some discriminator steps, then one step of E and G on L_VAE."""
        optimizers: Any = self.optimizers()
        e_optimizer, g_optimizer, d_optimizer = optimizers
        *draws, x = self.to_network(batch.image).chunk(self.config.n_critic + 1)
        for real in draws:
            with torch.no_grad():
                fake = self.G(self.noise(len(real), self.latent_dim))
            d_loss = gan_discriminator(self.D(real), self.D(fake))
            self.descend(d_loss + self.regularizer(), discriminator=d_optimizer)
        with frozen(self.D):
            nll, kl = self.vae_terms(x)
            self.descend(nll + kl, encoder=e_optimizer, generator=g_optimizer)
        self.follow(discriminator=d_loss, kl=kl, reconstruction=nll)
