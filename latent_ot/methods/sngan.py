"""SNGAN: a GAN with the hinge loss whose discriminator has weights of spectral norm 1.

Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
https://arxiv.org/abs/1802.05957: every layer's weights are divided by their largest singular value, which one step of
the power iteration a forward tracks (Algorithm 1), so that the discriminator is 1-Lipschitz up to its leaky units and
its pooling. n_dis discriminator steps, each on images of its own, then one generator step, with the hinge loss, Eqs.
(16) and (17). The standard networks have the paper's setting C (Table 1), the residual ones (``network=sngan_resnet``)
that of the authors' release for CIFAR-10 (pfnet-research/sngan_projection), whose learning rate falls linearly to 0
over the run.

What differs: the release moves the generator at the start of a cycle; here it moves at the end, as in other methods.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from latent_ot.config import Trained
from latent_ot.losses.adversarial import hinge_discriminator, wasserstein_generator
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.families import among, networks
from latent_ot.ranks import size
from latent_ot.stage import Batch

RESIDUAL = {"n_dis": 5, "generator_batch": 128, "beta1": 0.0, "beta2": 0.9, "decay": True}
"""Defaults of the residual networks: the release for CIFAR-10."""

NETWORKS = among("sngan", "sngan_resnet")


class SnganConfig(Trained):
    """Settings of SNGAN."""

    network: Annotated[str, NETWORKS] = Field("sngan", description="SNGAN, Table 3 (residual: Table 4)")
    batch_size: int = Field(64, ge=2, description="images a discriminator step; SNGAN, Section 4")
    generator_batch: int = Field(64, ge=2, description="codes a generator step; SNGAN, Section 4 (residual: 128)")
    n_dis: int = Field(1, ge=1, description="discriminator to generator steps; SNGAN, Table 1, C (residual: 5)")
    latent_dim: int = Field(128, ge=1, description="code length d; SNGAN, Tables 3 and 4")
    lr: float = Field(2e-4, gt=0, description="Adam, both networks; SNGAN, Table 1, C, and release")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; SNGAN, Table 1, C (residual: 0)")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam; SNGAN, Table 1, C (residual: 0.9)")
    decay: bool = Field(False, description="let the learning rate fall linearly to 0; release (residual: yes)")


class Sngan(Gan):
    """Generator G and discriminator D."""

    version = 1
    Config = SnganConfig
    adversary = "D"
    replayable = True
    config: SnganConfig

    def __init__(self, config: SnganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "sngan")
        self.latent_dim = config.latent_dim
        nets = networks(config.network, config.latent_dim, shape, spec.width, norm="spectral")
        self.G, self.D, self.data_range = nets

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Each pair of networks has a setting of its own."""
        return RESIDUAL if chosen.get("network") == "sngan_resnet" else {}

    @classmethod
    def batches(cls, config: SnganConfig) -> dict[str, int]:
        """Those of both networks."""
        return {"batch_size": config.batch_size, "generator_batch": config.generator_batch}

    @property
    def rows_per_step(self) -> int:
        """Every discriminator step of an outer step draws its own images."""
        return self.config.n_dis * self.config.batch_size

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.D)

    def set_rates(self) -> None:
        """Let the rate fall linearly to 0, if so set."""
        optimizers: Any = self.optimizers()
        for group in (group for optimizer in optimizers for group in optimizer.param_groups if self.config.decay):
            group["lr"] = self.config.lr * (1 - self.progress)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """``n_dis`` discriminator steps, one generator step."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        with self.toggled_optimizer(d_optimizer):
            for x in self.to_network(batch.image).chunk(self.config.n_dis):
                with torch.no_grad():
                    fake = self.G(self.noise(len(x), self.latent_dim))
                d_loss = hinge_discriminator(self.D(x), self.D(fake))
                self.descend(d_loss, discriminator=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            z = self.noise(self.config.generator_batch // size(), self.latent_dim)
            g_loss = wasserstein_generator(self.D(self.G(z)))
            self.descend(g_loss, generator=g_optimizer)
        self.observe(discriminator=d_loss, generator=g_loss)

    @torch.no_grad()
    def facts(self) -> dict[str, float]:
        """Return the largest spectral norm of the discriminator's weights: 1 but for the iteration's lag."""
        weights = [m.weight.flatten(1) for m in self.D.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        return {"spectral_norm": max(torch.linalg.matrix_norm(w.cpu(), 2).item() for w in weights)}
