"""IMLE: a network from noise to codes, trained so that every code has a draw near it; the second half of GLANN.

Hoshen, Li and Malik, "Non-Adversarial Image Synthesis with Generative Latent Nearest Neighbors", CVPR 2019,
https://arxiv.org/abs/1812.08985, after Li and Malik, "Implicit Maximum Likelihood Estimation",
https://arxiv.org/abs/1809.09087. Every epoch draws a pool of noise e, finds for each code z_i the e whose T(e) is
nearest, and regresses T(e) on z_i for one pass over the codes. Network and numbers are those of GLANN's public code.

What differs, and why:
- Codes are centred and divided by their root mean square length, and draws are brought back. GLANN's codes lie on the
  unit sphere, so that there the factor is near 1; elsewhere its step size would not fit the codes.
- Sampling is deterministic: T normalises by fixed statistics, collected from noise after the last step. The public code
  normalises each batch that it draws by that batch's own; the statistics that training leaves behind are those of the
  matched noise, which is no fair draw from N(0, I).
- The pool's 2N points and an epoch's N codes are rounded up to whole batches; the public code rounds both down.

As there: T normalises by batch statistics while the pool is mapped, too, and Adam starts anew with every epoch.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Config
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp
from latent_ot.samplers.base import Frame, LatentSampler
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

CHUNK = 1 << 24  # distances held at once, 64 MB
SETTLING = 100  # batches of noise from which the statistics for sampling are collected


class ImleConfig(Config):
    """Settings of GLANN's mapping network."""

    batch_size: int = Field(128, ge=2, description="codes a step; GLANN's code")
    noise_dim: int = Field(32, ge=1, description="length of e; GLANN's code")
    hidden: int = Field(128, ge=1, description="units in each of the two hidden layers; GLANN's code")
    lr: float = Field(1e-3, gt=0, description="Adam; GLANN's code")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; GLANN's code")
    weight_decay: float = Field(1e-5, ge=0, description="Adam, added to the gradient; GLANN's code")
    halve_every: int = Field(50, ge=1, description="epochs after which the step is halved; in GLANN's code the last")
    pool: int = Field(2, ge=1, description="points of the pool for each code; GLANN's code")


def nearest(z: Tensor, pool: Tensor) -> Tensor:
    """Return for every point z (n, d) the row (n,) of the nearest point of ``pool`` (m, d), to rounding."""
    centre = pool.mean(dim=0)  # distances stay; their terms lose fewer digits
    pool = pool - centre
    half = pool.square().sum(dim=1) / 2
    rows = max(1, CHUNK // len(pool))
    return torch.cat([torch.addmm(half, piece - centre, pool.T, alpha=-1).argmin(dim=1) for piece in z.split(rows)])


class Imle(LatentSampler):
    """T: e -> z, and the e that each code was matched with in this epoch."""

    version = 1
    Config = ImleConfig
    closed_form = False
    maps = True
    config: ImleConfig
    codes: Tensor
    matched: Tensor
    trail: Tensor

    def __init__(self, config: ImleConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        (hidden,) = scaled(spec.width, config.hidden)
        self.T = Mlp([config.noise_dim, hidden, hidden, self.dim], norm=True, bias=False)
        self.epoch_steps = -(-spec.count // config.batch_size)
        self.frame = Frame(self.dim, length=True)
        self.register_buffer("codes", torch.zeros(spec.count, self.dim), persistent=False)  # _fit brings them again
        self.register_buffer("matched", torch.zeros(spec.count, config.noise_dim))
        self.register_buffer("trail", torch.zeros(2))  # of the last matching: objective, share of distinct e

    def _fit(self, codes: Tensor) -> None:
        self.frame.fit(codes)
        self.codes.copy_(self.frame(codes.double()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam."""
        config = self.config
        betas = (config.beta1, 0.999)
        return torch.optim.Adam(
            self.parameters(), lr=config.lr, betas=betas, weight_decay=config.weight_decay, fused=True
        )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of regression; the first of an epoch matches the codes anew and forgets Adam's moments."""
        optimizer: Any = self.optimizers()
        epoch, place = divmod(self.step, self.epoch_steps)
        if place == 0:
            self.match(epoch)
            optimizer.state.clear()
        for group in optimizer.param_groups:
            group["lr"] = self.config.lr * 0.5 ** (epoch // self.config.halve_every)
        loss = (self.T(self.matched[batch.index]) - self.codes[batch.index]).square().mean()
        self.descend(loss, mapping=optimizer)
        self.observe(loss=loss, objective=self.trail[0])

    def noise_batches(self, count: int, purpose: str, index: int = 0) -> Tensor:
        """Draw ``count`` batches of noise, (count, batch_size, noise_dim)."""
        shape = (count, self.config.batch_size, self.config.noise_dim)
        return torch.randn(shape, generator=generator(self.spec.seed, purpose, index)).to(self.device)

    @torch.no_grad()
    def match(self, epoch: int) -> None:
        """Give every code the e of this epoch's pool whose T(e) is nearest."""
        pool = self.noise_batches(self.config.pool * self.epoch_steps, "pool", epoch)
        mapped = torch.cat([self.T(e) for e in pool])
        chosen = nearest(self.codes, mapped)
        self.matched.copy_(pool.flatten(0, 1)[chosen])
        self.trail[0] = (mapped[chosen] - self.codes).square().sum(dim=1).mean()
        self.trail[1] = len(chosen.unique()) / len(chosen)

    @torch.no_grad()
    def on_train_end(self) -> None:
        """Collect the statistics that T normalises by when it samples, from noise."""
        norms = [layer for layer in self.T if isinstance(layer, nn.BatchNorm1d)]
        self.T.train()
        for count, e in enumerate(self.noise_batches(SETTLING, "statistics"), start=1):
            for layer in norms:
                layer.momentum = 1 / count  # a plain mean over the batches; the first replaces what was there
            self.T(e)
        super().on_train_end()

    @property
    def source_dim(self) -> int:
        """Length of e."""
        return self.config.noise_dim

    def transport(self, w: Tensor) -> Tensor:
        """Return codes T(w), in their own units."""
        return self.frame.back(self.T(w))

    def facts(self) -> dict[str, float]:
        """Return the last matching's objective and the share of distinct e in it.

        ``imle_objective``: mean_i min_j ||T(e_j) - z_i||^2, as a share of the codes' mean squared distance from their
        mean.
        """
        objective, distinct = self.trail.tolist()
        return {"imle_objective": objective, "distinct_share": distinct}
