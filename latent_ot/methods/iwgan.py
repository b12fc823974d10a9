"""iWGAN: an autoencoder with a critic between its reconstructions and its samples, trained to close a duality gap.

"iWGAN: an Autoencoder WGAN for Inference" (under review, 2019; by Chen, Gao and Wang as "Inferential Wasserstein
Generative Adversarial Networks", https://arxiv.org/abs/2109.05652), Algorithm 1. With
L(G, Q, f) = E||x - G(Q(x))|| + E f(G(Q(x))) - E f(G(z)), n_critic steps of the critic f ascend L under a gradient
penalty, and as many of generator G and encoder Q descend L + lambda_2 MMD(Q(x), z), each on examples of its own.
Eq. (10) prints the critic's step with the opposite sign; Algorithm 1 is followed.

How to estimate the gap, sup_f L - inf_{G,Q} L of Eq. (4), is left open. Here a copy of f climbs and copies of G and Q
descend for a few Adam steps on one half of a step's examples, and L is taken on the other half. The steps are few since
nothing bounds the descent: L is linear in f, whose slope is merely penalised. On rates, weights, kernel, batch and
n_critic the paper is silent, too; they are those of WGAN-GP and of WAE, from which the terms come.
"""

import copy
from collections.abc import Mapping
from itertools import cycle, islice
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Config
from latent_ot.losses.adversarial import wasserstein_critic
from latent_ot.losses.gradient_penalty import gradient_penalty, interpolates
from latent_ot.methods.base import Method, Spec
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.networks.families import among, families, networks
from latent_ot.seeding import generator
from latent_ot.stage import Batch
from latent_ot.transport.mmd import mmd_squared

POINTS = {
    "network": "toy",
    "batch_size": 256,
    "latent_dim": 5,
    "penalty": 0.1,
    "gap_steps": 20,
    "gap_tol": 0.1,
    "objective_tol": 0.1,
}
COLOUR = {"network": "iwgan_celeba", "latent_dim": 64}
"""Defaults for 2-D points (paper, Section 5.1; batch and penalty as WGAN-GP's toy experiments) and colour images."""

NETWORKS = among("iwgan_mnist", "iwgan_celeba", "toy", "infogan")


class IwganConfig(Config):
    """Settings of iWGAN."""

    network: Annotated[str, NETWORKS] = Field(
        "iwgan_mnist", description="Appendix D2; of colour images D3, of points D1"
    )
    batch_size: int = Field(64, ge=2, description="examples an inner step; silent, WGAN-GP's; of points 256")
    latent_dim: int = Field(8, ge=1, description="code length; Appendix D: 8 for MNIST, 64 for CelebA, 5 for points")
    n_critic: int = Field(5, ge=1, description="steps of f, then as many of G and Q; silent, WGAN-GP's")
    penalty: float = Field(10.0, ge=0, description="lambda_1; silent, WGAN-GP's; of points its toy experiments' 0.1")
    between: Literal["data", "reconstructions"] = Field(
        "data", description="what the penalised points lie between, beside samples; Algorithm 1, line 3"
    )
    mmd_weight: float = Field(10.0, ge=0, description="lambda_2; silent, WAE's for MNIST")
    lr: float = Field(1e-4, gt=0, description="Adam; silent, WGAN-GP's")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; silent, WGAN-GP's release for MNIST")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam; silent, WGAN-GP's")
    gap_every: int = Field(20, ge=1, description="estimates of the duality gap over the run; silent")
    gap_steps: int = Field(5, ge=1, le=50, description="Adam steps of each copy in an estimate; silent; of points 20")
    stop: Literal["budget", "duality_gap"] = Field("budget", description="when to stop; Algorithm 1, line 1: the gap")
    gap_tol: float = Field(1.0, gt=0, description="epsilon_1, in units of ||x||; silent; of points 0.1")
    objective_tol: float = Field(5.0, gt=0, description="epsilon_2, in units of ||x||; silent; of points 0.1")


class Terms(NamedTuple):
    """Of L(G, Q, f): the mean of ||x - G(Q(x))|| and that of f(G(Q(x))) less that of f(G(z)); and the codes Q(x)."""

    reconstruction: Tensor
    distance: Tensor
    codes: Tensor

    @property
    def value(self) -> Tensor:
        """L(G, Q, f), a scalar."""
        return self.reconstruction + self.distance


def objective(G: nn.Module, Q: nn.Module, f: nn.Module, x: Tensor, z: Tensor) -> Terms:
    """Return L(G, Q, f), Eq. (3), on examples ``x`` (n, ...) and codes of the prior ``z`` (n, d)."""
    codes = Q(x)
    rebuilt = G(codes)
    return Terms(reconstruction_errors(x, rebuilt).mean(), -wasserstein_critic(f(rebuilt), f(G(z))), codes)


class Iwgan(Method):
    """Generator G, encoder Q and critic f."""

    version = 1
    Config = IwganConfig
    makes_images = ("autoencoder",)
    adversary = "f"
    accepts = ("image", "points")
    config: IwganConfig
    gap: Tensor
    objective: Tensor

    def __init__(self, config: IwganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.latent_dim = config.latent_dim
        norm = "none" if config.network == "infogan" else None  # a penalised critic must treat images one by one
        self.G, self.f, self.data_range = networks(config.network, config.latent_dim, spec.shape, spec.width, norm)
        self.Q = families()[config.network].encoder(spec.shape, config.latent_dim, spec.width)
        self.register_buffer("gap", torch.zeros(()))  # the last estimate
        self.register_buffer("objective", torch.zeros(()))

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Points and colour images have settings of their own."""
        return POINTS if len(shape) == 1 else COLOUR if shape[0] == 3 else {}

    @property
    def rows_per_step(self) -> int:
        """Every step of f and every step of G and Q draws its own examples."""
        return 2 * self.config.n_critic * self.config.batch_size

    @property
    def finished(self) -> bool:
        """Algorithm 1, line 1: the run goes on while gap > epsilon_1 or L > epsilon_2."""
        c = self.config
        return c.stop == "duality_gap" and bool(self.gap <= c.gap_tol and self.objective <= c.objective_tol)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for generator and encoder, one for the critic."""
        return [self._adam(self.G, self.Q), self._adam(self.f)]

    def _adam(self, *modules: nn.Module) -> torch.optim.Optimizer:
        parameters, c = [p for module in modules for p in module.parameters()], self.config
        return torch.optim.Adam(parameters, lr=c.lr, betas=(c.beta1, c.beta2), fused=True)

    def prior(self, n: int, g: torch.Generator) -> Tensor:
        """Draw codes (n, d) from N(0, I)."""
        return torch.randn(n, self.latent_dim, generator=g).to(self.device)

    def critic_terms(
        self, G: nn.Module, Q: nn.Module, f: nn.Module, x: Tensor, g: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return what f ascends, mean f(G(Q(x))) - mean f(G(z)), and the penalty on its slope: lines 3 to 7."""
        with torch.no_grad():
            rebuilt, fake = G(Q(x)), G(self.prior(len(x), g))
        t = torch.rand(len(x), generator=g).to(x.device)
        ends = x if self.config.between == "data" else rebuilt
        return -wasserstein_critic(f(rebuilt), f(fake)), gradient_penalty(f, interpolates(ends, fake, t))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1, lines 2 to 15."""
        c = self.config
        optimizers: Any = self.optimizers()
        optimizer, f_optimizer = optimizers
        examples = self.to_network(batch.image)
        parts = examples.split(c.batch_size)
        with self.toggled_optimizer(f_optimizer):
            for x in parts[: c.n_critic]:
                distance, penalty = self.critic_terms(self.G, self.Q, self.f, x, self.generator)
                self.descend(c.penalty * penalty - distance, critic=f_optimizer)
        with self.toggled_optimizer(optimizer):
            for x in parts[c.n_critic :]:
                z = self.prior(len(x), self.generator)
                terms = objective(self.G, self.Q, self.f, x, z)
                mmd = mmd_squared(terms.codes, z)
                self.descend(terms.value + c.mmd_weight * mmd, autoencoder=optimizer)
        if self.step % max(1, self.total_steps // c.gap_every) == 0 or self.step + 1 == self.total_steps:
            estimate = self.duality_gap(examples, generator(self.spec.seed, "gap", self.step))
            for kept, value in zip((self.gap, self.objective), estimate, strict=True):
                kept.copy_(value)
        self.observe(
            reconstruction=terms.reconstruction, distance=distance, penalty=penalty, mmd=mmd, gap=self.gap,
            objective=self.objective,
        )  # fmt: skip

    def duality_gap(self, x: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Estimate the duality gap, Eq. (4), and L(G, Q, f), and change nothing: only copies are trained.

        ``x``: examples (n, ...) in the networks' range, n >= 4; copies are fitted to one half and judged on the other.
        """
        fit, held_out = x.chunk(2)
        batches = list(islice(cycle(fit.split(self.config.batch_size)), self.config.gap_steps))
        z = self.prior(len(held_out), g)
        G, Q, f = copy.deepcopy((self.G, self.Q, self.f))  # all of them: even a look moves G's batch statistics
        best_f = copy.deepcopy(f)

        @torch.no_grad()
        def value(f: nn.Module) -> Tensor:
            return objective(G, Q, f, held_out, z).value

        now = value(f)
        optimizer = self._adam(best_f)
        for rows in batches:
            distance, penalty = self.critic_terms(G, Q, best_f, rows, g)
            optimizer.zero_grad()
            (self.config.penalty * penalty - distance).backward()
            optimizer.step()
        highest = value(best_f)
        optimizer = self._adam(G, Q)
        for rows in batches:
            optimizer.zero_grad()
            objective(G, Q, f, rows, self.prior(len(rows), g)).value.backward()
            optimizer.step()
        return highest - value(f), now

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return f's scores of reconstructions, which it tells from samples, and of these."""
        return self.scores(self.decode(self.encode(real))), self.scores(fake)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes Q(x)."""
        return self.Q(self.to_network(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return images, or points, G(z)."""
        return self.to_unit(self.G(z))

    def facts(self) -> dict[str, float]:
        """Return the last estimates of the duality gap and of L, in units of ||x|| in the networks' range."""
        return {"duality_gap": self.gap.item(), "objective": self.objective.item()}
