"""WGAN-GP: a generator that descends a Wasserstein-1 distance, estimated by a critic with a penalised slope.

Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, "Improved Training of Wasserstein GANs", NeurIPS 2017,
https://arxiv.org/abs/1704.00028, Algorithm 1: n_critic critic steps, each on images of its own, then one generator
step. The critic has no batch normalisation, since the penalty is on each image's own gradient. Networks, batch and code
length are the GLDO paper's, which runs it, and so is the learning rate, which that paper states for the generator and
which the critic takes, too; the rest is the authors'. 2-D points have the settings of the authors' toy experiments.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from latent_ot.config import Trained
from latent_ot.losses.adversarial import wasserstein_critic, wasserstein_generator
from latent_ot.losses.gradient_penalty import gradient_penalty, interpolates
from latent_ot.methods.base import Gan, Spec
from latent_ot.networks.families import among, networks
from latent_ot.networks.infogan import init_normal
from latent_ot.stage import Batch

TOY = {"network": "toy", "batch_size": 256, "penalty": 1.0, "latent_dim": 5, "lr": 1e-4}
"""Defaults for 2-D points: the release's toy experiments, with the codes of the iWGAN paper, which runs it on them."""

NETWORKS = among("infogan", "dcgan", "sngan", "sngan_resnet", "wgan_div_resnet", "iwgan_celeba", "toy")


class WganGpConfig(Trained):
    """Settings of WGAN-GP."""

    network: Annotated[str, NETWORKS] = Field(
        "infogan", description="GLDO, Section 4.1; of points the release's three layers of 512"
    )
    batch_size: int = Field(
        64, ge=2, description="examples a critic step; GLDO, Section 4.1 (release: 50); of points the release's 256"
    )
    n_critic: int = Field(5, ge=1, description="critic steps to a generator step; WGAN-GP, Algorithm 1")
    penalty: float = Field(10.0, ge=0, description="lambda; WGAN-GP, Algorithm 1; of points the release's 0.1")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1; of points iWGAN's 5")
    lr: float = Field(
        1e-3, gt=0, description="Adam; GLDO, Section 4.1, of the generator (WGAN-GP, Algorithm 1, and of points: 1e-4)"
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; authors' release for MNIST (Algorithm 1: 0)")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam; WGAN-GP, Algorithm 1")
    critic_norm: Literal["none", "layer"] = Field("none", description="authors' release; layer for its 64-pixel ResNet")
    init_std: float = Field(0.02, gt=0, description="of InfoGAN's initial weights; the large-scale GAN study")


class WganGp(Gan):
    """Generator G and critic f."""

    version = 1
    Config = WganGpConfig
    adversary = "f"
    replayable = True
    accepts = ("image", "points")
    config: WganGpConfig

    def __init__(self, config: WganGpConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.latent_dim = config.latent_dim
        nets = networks(config.network, config.latent_dim, spec.shape, spec.width, config.critic_norm)
        self.G, self.f, self.data_range = nets
        if config.network == "infogan":
            for net in (self.G, self.f):
                init_normal(net, config.init_std)

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Points have settings of their own."""
        return TOY if len(shape) == 1 else {}

    @property
    def rows_per_step(self) -> int:
        """Every critic step of an outer step draws its own images."""
        return self.config.n_critic * self.config.batch_size

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.f)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1, lines 2 to 12."""
        optimizers: Any = self.optimizers()
        g_optimizer, f_optimizer = optimizers
        with self.toggled_optimizer(f_optimizer):
            for x in self.to_network(batch.image).chunk(self.config.n_critic):
                with torch.no_grad():
                    fake = self.G(self.noise(len(x), self.latent_dim))
                gap = wasserstein_critic(self.f(x), self.f(fake))
                t = self.uniform(len(x))
                penalty = gradient_penalty(self.f, interpolates(x, fake, t))
                self.descend(gap + self.config.penalty * penalty, critic=f_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = wasserstein_generator(self.f(self.G(self.noise(len(x), self.latent_dim))))
            self.descend(g_loss, generator=g_optimizer)
        self.observe(distance=-gap, penalty=penalty, generator=g_loss)
