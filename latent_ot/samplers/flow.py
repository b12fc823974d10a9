"""Flow: four affine couplings between the codes and N(0, I), fitted by maximum likelihood and run backwards to draw.

Xiao, Yan and Amit, "Generative Latent Flow", 2019, https://arxiv.org/abs/1905.10485: a flow F on the codes z of an
autoencoder minimises -log p(z) = 1/2 ||F(z)||^2 - log |det dF/dz| + const, and no gradient of it reaches the encoder.
So the flow may as well come after the encoder, and here the codes are a fixed table. On GLO's it is the GLO-GLF of
"Optimizing Latent Distributions for Non-Adversarial Generative Networks", Section 4.8. Coupling, widths, Adam and batch
are those of the public code, an unofficial one (rakhimovv/GenerativeLatentFlow); its halvings of the learning rate
differ by data set and are left out.

What differs, and why:

- Codes come at any scale: F sees them after PCA whitening. A direction in which they do not vary is N(0, 1) noise in
  training and nothing in what is drawn, so constant dimensions and codes fewer than dimensions come back as they were.
- A step adds N(0, 0.01^2) to the whitened codes: on a sphere, a curve or a few points the likelihood has no bound.
- The public coupling scales by a sigmoid, below 1, so F could only shrink volumes and no density could pass N(0, I)'s
  peak. A learned factor per whitened coordinate lifts that bound (two moons, 1,000 steps: 1.12 to 0.85 nats each).
- Permutations 1 and 3 swap the halves and the one between is random, so every coordinate is changed twice. With three
  random ones a coordinate in 16 never would be; in two dimensions, one of the two for one seed in eight.
- Halves may be unequal, so an odd dimension is as good as an even one.
"""

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

CONSTANT = 1e-5  # directions this much thinner than the widest hold rounding errors of float32 and no codes


class FlowConfig(Config):
    """Settings of the flow."""

    batch_size: int = Field(256, ge=1, description="codes a step; public code of GLF")
    hidden: int = Field(64, ge=1, description="widths of a coupling's network; GLF's public code, MNIST (CelebA: 256)")
    lr: float = Field(1e-3, gt=0, description="Adam, betas 0.9 and 0.99; public code of GLF")
    weight_decay: float = Field(2e-5, ge=0, description="Adam; public code of GLF")
    noise: float = Field(0.01, gt=0, description="standard deviation, added to whitened codes; the papers are silent")


class Coupling(nn.Module):
    """(z1, z2) -> (z1, (z2 + t) s) with t and s functions of z1, the first half of the coordinates, rounded down."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (dim // 2, dim - dim // 2)
        self.net = Mlp([self.sizes[0], hidden, hidden, 2 * self.sizes[1]])
        for parameter in self.net[-1].parameters():  # every coupling starts as z2 -> sigmoid(2) z2
            nn.init.zeros_(parameter)

    def terms(self, z1: Tensor) -> tuple[Tensor, Tensor]:
        """Return log s and t, both (n, d - d // 2)."""
        raw, t = self.net(z1).chunk(2, dim=1)
        return logsigmoid(raw + 2), t

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mapped points (n, d) and the logarithms (n,) of the Jacobian's determinants."""
        z1, z2 = z.split(self.sizes, dim=1)
        log_s, t = self.terms(z1)
        return torch.cat([z1, (z2 + t) * log_s.exp()], dim=1), log_s.sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the points (n, d) that are mapped to ``y``."""
        z1, z2 = y.split(self.sizes, dim=1)
        log_s, t = self.terms(z1)
        return torch.cat([z1, z2 * (-log_s).exp() - t], dim=1)


def orders(dim: int, seed: int) -> Tensor:
    """Return the orders (4, d) in which each coupling takes the coordinates that the one before it left: see above."""
    swap = torch.arange(dim).roll(-(dim // 2))
    g = generator(seed, "permutations")
    middle = torch.randperm(dim, generator=g)
    while set(middle[: dim // 2].tolist()) == set(range(dim // 2)):  # the third coupling would repeat the second
        middle = torch.randperm(dim, generator=g)
    return torch.stack([torch.arange(dim), swap, middle, swap])


class Flow(LatentSampler):
    """F, a bijection from whitened codes to N(0, I), and the whitening: codes = mean + basis (spread * whitened)."""

    version = 1
    Config = FlowConfig
    closed_form = False
    maps = True
    replayable = True
    config: FlowConfig
    orders: Tensor
    mean: Tensor
    basis: Tensor
    spread: Tensor
    nats: Tensor

    def __init__(self, config: FlowConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        if self.dim < 2:
            raise InputError(f"flow: codes of dimension {self.dim}; allowed: 2 or more, a coupling needs two halves")
        (hidden,) = scaled(spec.width, config.hidden)
        self.log_factor = nn.Parameter(torch.zeros(self.dim))
        self.couplings = nn.ModuleList(Coupling(self.dim, hidden) for _ in range(4))
        self.register_buffer("orders", orders(self.dim, spec.seed))
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("basis", torch.eye(self.dim))
        self.register_buffer("spread", torch.ones(self.dim))
        self.register_buffer("nats", torch.zeros(()))

    def _fit(self, codes: Tensor) -> None:
        codes = codes.double()
        mean = codes.mean(dim=0)
        variance, basis = torch.linalg.eigh((codes - mean).T @ (codes - mean) / len(codes))
        spread = variance.clamp(min=0).sqrt()
        floor = torch.maximum(CONSTANT * spread.max(), 1e-10 * mean.abs().max())  # the latter for codes all alike
        self.mean.copy_(mean)
        self.basis.copy_(basis)
        self.spread.copy_(spread.where(spread > floor, 0))

    def whiten(self, codes: Tensor) -> Tensor:
        """Return codes (n, d) with mean 0 and covariance I, and 0 along directions in which they do not vary."""
        return (codes - self.mean) @ self.basis * (1 / self.spread).where(self.spread > 0, 0)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(z) (n, d) and log |det dF/dz| (n,) of whitened codes."""
        z, log_det = z * self.log_factor.exp(), self.log_factor.sum()
        for order, coupling in zip(self.orders, self.couplings, strict=True):
            z, more = coupling(z[:, order])
            log_det = log_det + more
        return z, log_det

    def inverse(self, w: Tensor) -> Tensor:
        """Return the whitened codes (n, d) that F maps to ``w``."""
        for order, coupling in zip(self.orders.flip(0), self.couplings[::-1], strict=True):
            w = coupling.inverse(w)[:, order.argsort()]  # type: ignore[operator]  # a list of modules, to mypy
        return w * (-self.log_factor).exp()

    def nll(self, z: Tensor) -> Tensor:
        """Return -log p(z) (n,) of whitened codes (n, d), in nats."""
        w, log_det = self(z)
        return 0.5 * (w.square() + math.log(2 * math.pi)).sum(dim=1) - log_det

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for all couplings."""
        lr, decay = self.config.lr, self.config.weight_decay
        return torch.optim.Adam(self.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=decay, fused=True)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step on the mean of -log p over a batch of whitened codes with noise."""
        codes = batch.image.detach()
        blur = torch.full_like(self.spread, self.config.noise).where(self.spread > 0, 1)
        loss = self.nll(self.whiten(codes) + blur * self.noise(*codes.shape)).mean()
        optimizer: Any = self.optimizers()
        self.descend(loss, flow=optimizer)
        with torch.no_grad():
            self.nats.lerp_(loss / self.dim, 0.05 if self.step else 1.0)
        self.observe(loss=loss)

    def transport(self, w: Tensor) -> Tensor:
        """Return codes F^-1(w), in the codes' own units."""
        return self.mean + self.inverse(w) * self.spread @ self.basis.T

    def facts(self) -> dict[str, float | int]:
        """Return nats per whitened coordinate (last steps' mean; 1.419 for Gaussian codes) and directions of spread."""
        return {"nats_per_dim": self.nats.item(), "directions": int((self.spread > 0).sum())}
