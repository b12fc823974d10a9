"""GAN-KL: a GAN whose generator descends the reverse KL divergence, by the discriminator's logit as it stands.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Section 3.2:
of the densities p of generated and p* of real images, KL(p || p*) has the gradient of E_{x~p}[log (1-D(x))/D(x)] with
D held constant, which is also the generator's loss of Huszar's "alternative update rule". D's loss is the GAN's; it has
the networks and settings of the other models of the paper's Fig. 1, but no likelihood and hence no encoder.
"""

from typing import Any

import torch

from latent_ot.losses.adversarial import gan_discriminator
from latent_ot.losses.divergences import REVERSE_KL
from latent_ot.methods._adversarial_vae import Adversarial, AdversarialConfig, frozen
from latent_ot.methods.base import Gan
from latent_ot.stage import Batch


class GanKlConfig(AdversarialConfig):
    """Settings of GAN-KL."""


class GanKl(Adversarial, Gan):
    """Generator G and discriminator D."""

    version = 1
    Config = GanKlConfig
    replayable = True

    @property
    def rows_per_step(self) -> int:
        """Every discriminator step of an outer step draws its own images."""
        return self.config.n_critic * self.config.batch_size

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return [self.adam(self.G, self.config.lr), self.adam(self.D, self.config.lr_d)]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Some discriminator steps, one generator step."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        for x in self.to_network(batch.image).chunk(self.config.n_critic):
            with torch.no_grad():
                fake = self.G(self.noise(len(x), self.latent_dim))
            d_loss = gan_discriminator(self.D(x), self.D(fake))
            self.descend(d_loss + self.regularizer(), discriminator=d_optimizer)
        with frozen(self.D):
            logits = self.D(self.G(self.noise(len(x), self.latent_dim)))
            g_loss = REVERSE_KL.generated(logits).mean()
            self.descend(g_loss, generator=g_optimizer)
        self.follow(discriminator=d_loss, generator=g_loss)
