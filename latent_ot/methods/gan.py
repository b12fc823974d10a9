"""GAN: a generator against a discriminator that estimates whether an image is real, both fully connected.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and Bengio, "Generative Adversarial Nets", NeurIPS
2014, https://arxiv.org/abs/1406.2661, Algorithm 1 with k = 1: one discriminator step on images and generated ones, then
one generator step on fresh noise, by default with the loss of Section 3 that does not saturate. AE-OTtrans and AE-OTgen
are compared with it (their Section 5.1) without its networks or optimizer: here three layers of 512, as for WGAN, and
DCGAN's Adam in place of the momentum, dropout and maxout units of 2014.
"""

from typing import Annotated, Any

import torch
from pydantic import Field

from latent_ot.config import Trained
from latent_ot.losses.adversarial import gan_discriminator, gan_generator
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.families import among, networks
from latent_ot.networks.infogan import init_normal
from latent_ot.stage import Batch

NETWORKS = among("mlp", "infogan", "dcgan")


class GanConfig(Trained):
    """Settings of the GAN."""

    network: Annotated[str, NETWORKS] = Field(
        "mlp", description="three layers of 512; AE-OTgen, Section 5.1, leaves it open"
    )
    batch_size: int = Field(128, ge=2, description="images a step; AE-OTgen, Section 5.1, and DCGAN, Section 4")
    latent_dim: int = Field(128, ge=1, description="code length d; AE-OTgen leaves it open: SNGAN, Section 4")
    lr: float = Field(2e-4, gt=0, description="Adam, both networks; DCGAN, Section 4")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; DCGAN, Section 4")
    init_std: float = Field(0.02, gt=0, description="standard deviation of initial weights; DCGAN, Section 4")
    saturating: bool = Field(False, description="minimax loss of the generator; GAN, Eq. (1) (not: Section 3)")


class VanillaGan(Gan):
    """Generator G and discriminator D."""

    version = 1
    Config = GanConfig
    adversary = "D"
    replayable = True
    config: GanConfig

    def __init__(self, config: GanConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "gan")
        self.latent_dim = config.latent_dim
        norm = "none" if config.network == "mlp" else "batch"
        self.G, self.D, self.data_range = networks(config.network, config.latent_dim, shape, spec.width, norm)
        for net in (self.G, self.D):
            init_normal(net, config.init_std)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.D)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1 with k = 1."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        x = self.to_network(batch.image)
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                fake = self.G(self.noise(len(x), self.latent_dim))
            d_loss = gan_discriminator(self.D(x), self.D(fake))
            self.descend(d_loss, discriminator=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = gan_generator(self.D(self.G(self.noise(len(x), self.latent_dim))), self.config.saturating)
            self.descend(g_loss, generator=g_optimizer)
        self.observe(discriminator=d_loss, generator=g_loss)
