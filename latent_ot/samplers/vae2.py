"""Second-stage VAE: a small VAE on the codes, whose prior N(0, I) then stands for their unknown distribution.

Dai and Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019, https://arxiv.org/abs/1903.05789, Section 4: the codes
of a first VAE fill their space but not as N(0, I), so that a second VAE with as many dimensions can learn them. On
GLO's table it is GLO-TSV of "Optimizing Latent Distributions for Non-Adversarial Generative Networks", Section 4.8.
Networks, Adam, batch, schedule and the scalar gamma are those of the authors' release (daib13/TwoStageVAE); its 800
epochs are shares of the budget here. Of a first stage that has posteriors it is trained on z ~ q(z|x), drawn anew for
every batch, as there; other codes, such as GLO's, are taken as they are. A code is drawn as f2(u) + gamma xi with u and
xi ~ N(0, I), so that the pair (u, xi) is the source point.

What differs, and why:

- Codes come at any scale, while the release's have a scale near 1. They are centred and divided by one common number,
  their root mean squared deviation: one gamma for all dimensions keeps its meaning in the codes' own geometry.
- log gamma has a rate of its own. Adam moves it by its rate at most in a step: at the networks' 1e-4 it would go 0.25
  in 4,000 steps, where the release's 750,000 take it anywhere, and the draws would be mostly noise.
- log gamma is held above -6, as in the suite's VAE: on codes that can be told exactly, the best gamma is 0 and the
  bound infinite.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Config
from latent_ot.losses.gaussian import LOG_GAMMA_MIN, bound_terms
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp
from latent_ot.samplers.base import Frame, LatentSampler
from latent_ot.stage import Batch, Spec

HALVED_EVERY = 300 / 800  # share of the budget; epochs of the authors' release


class Vae2Config(Config):
    """Settings of the second-stage VAE."""

    batch_size: int = Field(64, ge=1, description="codes a step; authors' release")
    hidden: int = Field(1024, ge=1, description="width of each of the 3 hidden layers of both networks; release")
    lr: float = Field(1e-4, gt=0, description="Adam, halved at 3/8 and 6/8 of the budget; authors' release")
    gamma_lr: float = Field(1e-2, gt=0, description="the same for log gamma; the release: 1e-4, over 750,000 steps")


class Skip(nn.Module):
    """Three hidden layers whose output, with the input beside it, goes through one linear layer."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Mlp([inputs, hidden, hidden, hidden]), nn.ReLU())
        self.head = nn.Linear(inputs + hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs) to (n, outputs)."""
        return self.head(torch.cat([x, self.body(x)], dim=1))


class Vae2(LatentSampler):
    """Encoder z -> (mean, log standard deviation) of u, decoder f2: u -> mean of z, and the scalar gamma."""

    version = 2
    Config = Vae2Config
    closed_form = False
    maps = True
    draws = True
    needs = 2  # a lone code has no scale, but its posterior's draws have
    config: Vae2Config
    mean_kl: Tensor

    def __init__(self, config: Vae2Config, spec: Spec) -> None:
        super().__init__(config, spec)
        (hidden,) = scaled(spec.width, config.hidden)
        self.encoder = Skip(self.dim, hidden, 2 * self.dim)
        self.decoder = Skip(self.dim, hidden, self.dim)
        self.log_gamma = nn.Parameter(torch.zeros(()))
        self.frame = Frame(self.dim)
        self.register_buffer("mean_kl", torch.zeros(()))

    def _fit(self, codes: Tensor) -> None:
        self.frame.fit(codes)

    def bound(self, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return -log p(z|u) at u = mean + std * noise and KL(q(u|z) || N(0, I)), both (n,), of codes in the frame."""
        mean, log_std = self.encoder(z).chunk(2, dim=1)
        return bound_terms(z, (mean, log_std), noise, self.decoder, self.log_gamma)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks and gamma."""
        networks = [*self.encoder.parameters(), *self.decoder.parameters()]
        groups = [{"params": networks, "lr": self.config.lr}, {"params": [self.log_gamma], "lr": self.config.gamma_lr}]
        return torch.optim.Adam(groups, fused=True)

    def decay(self) -> float:
        """Return the factor on both learning rates in the step to come."""
        return 0.5 ** int(self.progress / HALVED_EVERY)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One ascent step on the evidence lower bound of a batch."""
        codes = self.drawn(batch)
        nll, kl = self.bound(self.frame(codes), self.noise(*codes.shape))
        loss = (nll + kl).mean()
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        for group, lr in zip(optimizer.param_groups, (self.config.lr, self.config.gamma_lr), strict=True):
            group["lr"] = lr * self.decay()
        self.manual_backward(loss)
        self.update("autoencoder", optimizer)
        with torch.no_grad():
            self.log_gamma.clamp_(min=LOG_GAMMA_MIN)
            self.mean_kl.lerp_(kl.mean(), 0.05 if self.step else 1.0)
        self.observe(loss=loss, kl=kl.mean(), log_gamma=self.log_gamma)

    @property
    def source_dim(self) -> int:
        """Of pairs (u, xi), side by side."""
        return 2 * self.dim

    def transport(self, w: Tensor) -> Tensor:
        """Return f2(u) + gamma xi (n, d) of pairs (n, 2 d), in the codes' own units."""
        u, xi = w.chunk(2, dim=1)
        return self.frame.back(self.decoder(u) + self.log_gamma.exp() * xi)

    def facts(self) -> dict[str, float]:
        """Return nats that u stores of a code (mean over the last steps) and gamma in standardised units."""
        return {"kl_nats": self.mean_kl.item(), "gamma": self.log_gamma.exp().item()}
