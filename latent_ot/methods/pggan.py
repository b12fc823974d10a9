"""PGGAN: a WGAN-GP whose networks grow with the training, from 4 pixels a side to the full size.

Karras, Aila, Laine and Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR
2018, https://arxiv.org/abs/1710.10196: one critic step, then one generator step, on images of the size reached; each
doubling of the size is faded in and then left alone for as long (Section 2, Appendix A). To WGAN-GP's critic loss comes
a small E f(x)^2, which keeps the scores from drifting. Samples are those of an average of the generator's weights.

The published 600,000 images a phase and the averaging over some 64,000 are here the same shares of the budget as of the
published 12 million. The batch, published as 128 down to 8 with growing size, is 64 at every size, so that a step
draws the same number of images all along; Adam keeps its moments when a level joins. The critic compares the images of
a group, as the paper has it, so the penalty is on the gradient of the group's scores.
"""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from latent_ot.config import Trained
from latent_ot.losses.adversarial import wasserstein_critic, wasserstein_generator
from latent_ot.losses.gradient_penalty import gradient_penalty, interpolates
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.ema import Ema
from latent_ot.networks.infogan import doublings
from latent_ot.networks.pggan import GROUP, Critic, Generator, shrink
from latent_ot.stage import Batch

FULL_SIZE = 0.3  # least share of the budget at the full size
PUBLISHED_STEPS = 12_000_000 // 64  # at this batch, of the release's 12 million images
SMALL = {"channels": 128, "latent_dim": 128}
"""Defaults up to 32 pixels: the release's for CIFAR-10."""


class PgganConfig(Trained):
    """Settings of PGGAN."""

    batch_size: int = Field(64, ge=4, multiple_of=4, description="images a critic step; authors' release at 32 pixels")
    channels: int = Field(512, ge=1, description="of the widest layer; Table 2 (CIFAR-10 in the authors' release: 128)")
    latent_dim: int = Field(512, ge=1, description="code length d; Table 2 (CIFAR-10 in the authors' release: 128)")
    lr: float = Field(1e-3, gt=0, description="Adam, both networks; Appendix A.1")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam; Appendix A.1")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam; Appendix A.1")
    penalty: float = Field(10.0, ge=0, description="lambda of the gradient penalty; authors' release")
    drift: float = Field(1e-3, ge=0, description="weight of E f(x)^2; Appendix A.1")
    phase: float = Field(0.05, gt=0, le=1, description="share of the budget for a fade, and for the rest after it")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged generator; Appendix A.1")


def schedule(progress: float, levels: int, phase: float) -> float:
    """Return the detail in [0, levels - 1] at ``progress`` in [0, 1]: whole numbers at rest, rising in a fade.

    ``phase`` is shortened where the fades would leave less than 30 % of the budget to the full size.
    """
    phase = min(phase, (1 - FULL_SIZE) / (2 * (levels - 1)))
    rests, part = divmod(progress / phase, 2)
    return min(levels - 1.0, rests + max(0.0, part - 1))


class Pggan(Gan):
    """Generator G, the average of its weights, and critic f."""

    version = 1
    Config = PgganConfig
    adversary = "f"
    replayable = True
    config: PgganConfig
    data_range = (-1.0, 1.0)
    detail: Tensor

    def __init__(self, config: PgganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "pggan")
        self.levels = doublings(shape, "pggan") + 1
        self.latent_dim = config.latent_dim
        self.G = Generator(config.latent_dim, shape, spec.width, config.channels)
        self.f = Critic(shape, spec.width, config.channels)
        self.average = Ema(self.G, config.ema ** (PUBLISHED_STEPS / self.total_steps))
        self.register_buffer("detail", torch.zeros(()))

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Small images take the networks of the release's small images."""
        return SMALL if shape[-1] <= 32 else {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network; it leaves alone what has no gradient, hence levels not reached yet."""
        return self.adams(self.G, self.f)

    @property
    def next_detail(self) -> float:
        """The detail of the step to come."""
        return schedule(self.progress, self.levels, self.config.phase)

    @property
    def phase(self) -> Hashable | None:
        """A level at rest; None of a fade, whose every step has networks of its own."""
        return self.next_detail if self.next_detail.is_integer() else None

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One critic step, one generator step, at the size that the schedule has reached."""
        optimizers: Any = self.optimizers()
        g_optimizer, f_optimizer = optimizers
        n, c = len(batch.image), self.config
        detail = self.next_detail
        self.detail.fill_(detail)
        G, f = partial(self.G, detail=detail), partial(self.f, detail=detail)
        x = shrink(self.to_network(batch.image), detail, self.levels)
        with self.toggled_optimizer(f_optimizer):
            with torch.no_grad():
                fake = G(self.noise(n, self.latent_dim))
            real = f(x)
            gap = wasserstein_critic(real, f(fake))
            t = self.uniform(n)
            penalty = gradient_penalty(f, interpolates(x, fake, t))
            self.descend(gap + c.penalty * penalty + c.drift * real.square().mean(), critic=f_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = wasserstein_generator(f(G(self.noise(n, self.latent_dim))))
            self.descend(g_loss, generator=g_optimizer)
        self.average.update_parameters(self.G)
        self.observe(distance=-gap, penalty=penalty, generator=g_loss, detail=detail)

    def scores(self, x: Tensor) -> Tensor:
        """Return f's scores (n,) of images at the size that it has reached, which it compares in groups."""
        filled = torch.cat([x, x[: -len(x) % GROUP]])
        detail = self.detail.item()
        return self.f(shrink(self.to_network(filled), detail, self.levels), detail=detail).flatten()[: len(x)]

    def decode(self, z: Tensor) -> Tensor:
        """Return images of the averaged generator, at the full size whatever size it has reached."""
        x = self.average(z, self.detail.item())
        return self.to_unit(F.interpolate(x, self.spec.shape[1:])).clamp(0, 1)
