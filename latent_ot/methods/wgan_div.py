"""WGAN-div: a generator that descends a Wasserstein divergence, which asks no slope of its critic.

Wu, Huang, Thoma, Acharya and Van Gool, "Wasserstein Divergence for GANs", ECCV 2018, https://arxiv.org/abs/1712.01026,
Algorithm 1: the critic minimises E f(x) - E f(G(z)) + k E ||grad f||^p on points between real and generated images, and
the generator minimises E f(G(z)). The signs are those of the paper, the other way round than WGAN's: f is low on real
images. k and p are the paper's; the authors' release, https://github.com/musikisomorphie/wgan-div, from which the
optimizer and the batch come, has k = 10. Networks: the table of AE-OT-GAN that compares the method has it on the
ResNet for both of its colour sets, CIFAR-10 and CelebA, so that is the default for colour; for one channel it is
InfoGAN's, which the same paper uses on MNIST.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Trained
from latent_ot.losses.gradient_penalty import divergence_penalty, interpolates
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.families import among, networks
from latent_ot.networks.infogan import init_normal
from latent_ot.stage import Batch

NETWORKS = among("infogan", "dcgan", "wgan_div_resnet")


class WganDivConfig(Trained):
    """Settings of WGAN-div."""

    network: Annotated[str, NETWORKS] = Field(
        "wgan_div_resnet",
        description="AE-OT-GAN, Table 1: ResNet (Standard: dcgan); of one channel infogan, its Section 4 on MNIST",
    )
    batch_size: int = Field(64, ge=2, description="images a critic step; authors' release")
    n_critic: int = Field(4, ge=1, description="critic steps to a generator step; authors' release")
    k: float = Field(2.0, ge=0, description="weight of the slope; WGAN-div, Section 4 (authors' release: 10)")
    p: float = Field(6.0, gt=1, description="power of the slope; WGAN-div, Section 4, and authors' release")
    latent_dim: int = Field(128, ge=1, description="code length d; authors' release")
    lr: float = Field(2e-4, gt=0, description="Adam; authors' release")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam; authors' release")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam; authors' release")
    critic_norm: Literal["none", "layer"] = Field("layer", description="authors' release")
    init_std: float = Field(0.02, gt=0, description="of initial weights, the ResNet's apart; authors' release")


class WganDiv(Gan):
    """Generator G and critic f."""

    version = 1
    Config = WganDivConfig
    adversary = "f"
    replayable = True
    config: WganDivConfig

    def __init__(self, config: WganDivConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "wgan_div")
        self.latent_dim = config.latent_dim
        nets = networks(config.network, config.latent_dim, shape, spec.width, config.critic_norm)
        self.G, self.f, self.data_range = nets
        if config.network != "wgan_div_resnet":
            for net in (self.G, self.f):
                init_normal(net, config.init_std)

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Images of one channel have networks of their own."""
        return {"network": "infogan"} if len(shape) == 3 and shape[0] == 1 else {}

    @property
    def rows_per_step(self) -> int:
        """Every critic step of an outer step draws its own images."""
        return self.config.n_critic * self.config.batch_size

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.f)

    def scores(self, x: Tensor) -> Tensor:
        """Return -f(x) (n,): in this paper the critic descends on real images."""
        return -super().scores(x)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: n_critic critic steps, each on images of its own, then one generator step."""
        c = self.config
        optimizers: Any = self.optimizers()
        g_optimizer, f_optimizer = optimizers
        with self.toggled_optimizer(f_optimizer):
            for x in self.to_network(batch.image).chunk(c.n_critic):
                with torch.no_grad():
                    fake = self.G(self.noise(len(x), self.latent_dim))
                gap = self.f(x).mean() - self.f(fake).mean()
                t = self.uniform(len(x))
                penalty = divergence_penalty(self.f, interpolates(x, fake, t), c.k, c.p)
                self.descend(gap + penalty, critic=f_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = self.f(self.G(self.noise(len(x), self.latent_dim))).mean()
            self.descend(g_loss, generator=g_optimizer)
        self.observe(distance=-gap, penalty=penalty, generator=g_loss)
