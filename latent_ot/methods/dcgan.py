"""DCGAN: a convolutional generator against a discriminator that tells its images from real ones.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016, https://arxiv.org/abs/1511.06434, with the non-saturating loss of Goodfellow et al., "Generative
Adversarial Nets", NeurIPS 2014: one discriminator step, then one generator step on fresh noise. Networks, batch and
code length are the GLDO paper's, which runs it, and so is the learning rate, which that paper states for the generator
and which the discriminator takes, too; the rest of the optimizer and the initial weights are DCGAN's. Batch
normalisation stands everywhere but on the generator's output and the discriminator's input; real and generated images
are normalised apart.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.inversion import invert
from latent_ot.losses.adversarial import gan_discriminator, gan_generator
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.infogan import Encoder, Generator, init_normal
from latent_ot.stage import Batch


class DcganConfig(Config):
    """Settings of DCGAN."""

    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1 (DCGAN, Section 4: 128)")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1, and DCGAN's release")
    lr: float = Field(1e-3, gt=0, description="Adam; GLDO, Section 4.1, of the generator (DCGAN, Section 4: 2e-4)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; DCGAN, Section 4")
    init_std: float = Field(0.02, gt=0, description="standard deviation of initial weights; DCGAN, Section 4")


class Dcgan(Method):
    """Generator G and discriminator D."""

    Config = DcganConfig
    declines = {"encode": "a GAN has no encoder; it reconstructs by a search over codes"}
    config: DcganConfig

    def __init__(self, config: DcganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "dcgan")
        self.latent_dim = config.latent_dim
        self.G = init_normal(Generator(config.latent_dim, shape, spec.width), config.init_std)
        self.D = init_normal(Encoder(shape, 1, spec.width), config.init_std)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        betas = (self.config.beta1, 0.999)
        return [
            torch.optim.Adam(net.parameters(), lr=self.config.lr, betas=betas, fused=True) for net in (self.G, self.D)
        ]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One discriminator step, one generator step."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        n = len(batch.image)
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                fake = self.G(self.noise(n, self.latent_dim))
            d_loss = gan_discriminator(self.D(batch.image), self.D(fake))
            d_optimizer.zero_grad()
            self.manual_backward(d_loss)
            self.update("discriminator", d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = gan_generator(self.D(self.G(self.noise(n, self.latent_dim))))
            g_optimizer.zero_grad()
            self.manual_backward(g_loss)
            self.update("generator", g_optimizer)
        self.observe(discriminator=d_loss, generator=g_loss)

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z)."""
        return self.G(z)

    def infer(self, x: Tensor, start: Tensor, steps: int) -> Tensor:
        """Return the codes that a search from ``start`` finds for images ``x``."""
        return invert(self.decode, x, start, steps)
