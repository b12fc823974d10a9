"""WGAN: a generator that descends a Wasserstein-1 distance, estimated by a critic with clipped weights.

Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, https://arxiv.org/abs/1701.07875, Algorithm 1: n_critic
critic steps, each on images of its own and followed by clipping every parameter to [-c, c], then one generator step.
In the generator's first 25 steps, and at every 500th, the authors' release gives the critic 100 steps, so that it is
near its optimum. AE-OTtrans and AE-OTgen are compared with it (their Section 5.1) without its networks: here three
layers of 512.

What differs, and why: a long phase of the critic goes round the images of its step again, 20 times with 100 steps, each
time against fresh generated ones, where the release draws new images. A step draws as many images as any other, so the
budget holds and is counted as it is spent; at the budgets of this suite 25 phases of 100 new batches, which are a share
of 0.2 % of the release's training, would leave the generator with a handful of steps or none. They are not shortened to
that share, since what a critic needs to come near its optimum does not shrink with the budget.
"""

from collections.abc import Hashable
from itertools import cycle, islice
from typing import Annotated, Any

import torch
from pydantic import Field

from latent_ot.config import Trained
from latent_ot.losses.adversarial import wasserstein_critic, wasserstein_generator
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.families import among, networks
from latent_ot.networks.infogan import init_normal
from latent_ot.stage import Batch

NETWORKS = among("mlp", "infogan", "dcgan")


class WganConfig(Trained):
    """Settings of WGAN."""

    network: Annotated[str, NETWORKS] = Field(
        "mlp", description="three layers of 512; AE-OTgen, Section 5.1, leaves it open"
    )
    batch_size: int = Field(64, ge=2, description="images a critic step; WGAN, Algorithm 1")
    n_critic: int = Field(5, ge=1, description="critic steps to a generator step; WGAN, Algorithm 1")
    long_n_critic: int = Field(100, ge=1, description="critic steps of a long phase; authors' release")
    long_first: int = Field(25, ge=0, description="generator steps at the start with a long phase; authors' release")
    long_every: int = Field(500, ge=1, description="generator steps from one long phase to the next; authors' release")
    clip: float = Field(0.01, gt=0, description="c, the bound of the critic's parameters; WGAN, Algorithm 1")
    latent_dim: int = Field(128, ge=1, description="code length d; AE-OTgen leaves it open: SNGAN, Section 4")
    lr: float = Field(5e-5, gt=0, description="RMSProp, both networks; WGAN, Algorithm 1")
    init_std: float = Field(0.02, gt=0, description="standard deviation of initial weights; authors' release")


class Wgan(Gan):
    """Generator G and critic f."""

    version = 1
    Config = WganConfig
    adversary = "f"
    replayable = True
    config: WganConfig

    def __init__(self, config: WganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "wgan")
        self.latent_dim = config.latent_dim
        norm = "none" if config.network == "mlp" else "batch"
        self.G, self.f, self.data_range = networks(config.network, config.latent_dim, shape, spec.width, norm)
        for net in (self.G, self.f):
            init_normal(net, config.init_std)

    @property
    def rows_per_step(self) -> int:
        """Every critic step of an outer step draws its own images, those of a long phase the same ones again."""
        return self.config.n_critic * self.config.batch_size

    @property
    def critic_steps(self) -> int:
        """Critic steps of the outer step to come."""
        c = self.config
        return c.long_n_critic if self.step < c.long_first or self.step % c.long_every == 0 else c.n_critic

    @property
    def phase(self) -> Hashable | None:
        """None of a step with a long phase of the critic, which comes too seldom to be kept."""
        return None if self.critic_steps != self.config.n_critic else ()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One RMSProp for each network: momentum made training unstable (Section 4)."""
        return [torch.optim.RMSprop(net.parameters(), lr=self.config.lr) for net in (self.G, self.f)]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1, lines 2 to 11."""
        optimizers: Any = self.optimizers()
        g_optimizer, f_optimizer = optimizers
        rows = cycle(self.to_network(batch.image).chunk(self.config.n_critic))
        with self.toggled_optimizer(f_optimizer):
            for x in islice(rows, self.critic_steps):
                with torch.no_grad():
                    fake = self.G(self.noise(len(x), self.latent_dim))
                gap = wasserstein_critic(self.f(x), self.f(fake))
                self.descend(gap, critic=f_optimizer)
                self._clip()
        with self.toggled_optimizer(g_optimizer):
            g_loss = wasserstein_generator(self.f(self.G(self.noise(len(x), self.latent_dim))))
            self.descend(g_loss, generator=g_optimizer)
        self.observe(distance=-gap, generator=g_loss)

    @torch.no_grad()
    def _clip(self) -> None:
        for parameter in self.f.parameters():
            parameter.clamp_(-self.config.clip, self.config.clip)

    def facts(self) -> dict[str, float]:
        """Return the share of the critic's parameters that lie at the bound."""
        parameters = torch.cat([p.flatten() for p in self.f.parameters()])
        return {"clipped": (parameters.abs() >= self.config.clip).float().mean().item()}
