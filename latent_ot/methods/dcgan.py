"""DCGAN: a convolutional generator against a discriminator that tells its images from real ones.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016, https://arxiv.org/abs/1511.06434, with the non-saturating loss of Goodfellow et al., "Generative
Adversarial Nets", NeurIPS 2014: one discriminator step, then one generator step on fresh noise. Networks, batch and
code length are the GLDO paper's, which runs it, and so is the learning rate, which that paper states for the generator
and which the discriminator takes, too; the rest of the optimizer and the initial weights are DCGAN's. Batch
normalisation stands everywhere but on the generator's output and the discriminator's input; real and generated images
are normalised apart.
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

NETWORKS = among("infogan", "dcgan")


class DcganConfig(Trained):
    """Settings of DCGAN."""

    network: Annotated[str, NETWORKS] = Field("infogan", description="GLDO, Section 4.1; or DCGAN's own")
    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1 (DCGAN, Section 4: 128)")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1, and DCGAN's release")
    lr: float = Field(1e-3, gt=0, description="Adam; GLDO, Section 4.1, of the generator (DCGAN, Section 4: 2e-4)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; DCGAN, Section 4")
    init_std: float = Field(0.02, gt=0, description="standard deviation of initial weights; DCGAN, Section 4")


class Dcgan(Gan):
    """Generator G and discriminator D."""

    version = 1
    Config = DcganConfig
    adversary = "D"
    replayable = True
    config: DcganConfig

    def __init__(self, config: DcganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "dcgan")
        self.latent_dim = config.latent_dim
        self.G, self.D, self.data_range = networks(config.network, config.latent_dim, shape, spec.width)
        for net in (self.G, self.D):
            init_normal(net, config.init_std)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.D)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One discriminator step, one generator step."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        n = len(batch.image)
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                fake = self.G(self.noise(n, self.latent_dim))
            d_loss = gan_discriminator(self.D(self.to_network(batch.image)), self.D(fake))
            self.descend(d_loss, discriminator=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = gan_generator(self.D(self.G(self.noise(n, self.latent_dim))))
            self.descend(g_loss, generator=g_optimizer)
        self.observe(discriminator=d_loss, generator=g_loss)
