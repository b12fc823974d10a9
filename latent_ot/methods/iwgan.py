"""iWGAN: an autoencoder with a critic between its reconstructions and its samples, trained to close a duality gap.

"iWGAN: an Autoencoder WGAN for Inference" (under review, 2019; by Chen, Gao and Wang as "Inferential Wasserstein
Generative Adversarial Networks", https://arxiv.org/abs/2109.05652), Algorithm 1. With
L(G, Q, f) = E||x - G(Q(x))|| + E f(G(Q(x))) - E f(G(z)), n_critic steps of the critic f ascend L under a gradient
penalty, and as many of generator G and encoder Q descend L + lambda_2 MMD(Q(x), z), each on examples of its own.
Eq. (10) prints the critic's step with the opposite sign; Algorithm 1 is followed.

How to estimate the gap, sup_f L - inf_{G,Q} L of Eq. (4), is left open. Both halves are taken exactly, on a batch:
- The supremum over 1-Lipschitz f is E||x - G(Q(x))|| + W_1(G(Q(x)), G(z)), by the duality of Eq. (2), and W_1 is solved
  by optimal transport. It is at least W_1(x, G(Q(x))) + W_1(G(Q(x)), G(z)), the lower bound of Theorem 2.2.
- The infimum is at most 0, since G, Q of Theorem 2.1 give L = 0 for every f, and Theorem 2.2 rests on that value: its
  proof (Appendix B) puts 0 in the infimum's place, and only so is the gap zero at a solution whatever f is. The gap
  stated here does the same, so that it is the supremum: L at the best f.
- ``gap_infimum`` is the other half at the critic that is trained, over all G and Q that map onto the batch's examples,
  reconstructions and samples: E min_y (||x - y|| + f(y)) - max_y f(y). It is 0 for a constant f and negative for any
  other, also at a solution, where the penalty still asks for slopes of 1; anywhere else f may have no upper bound.
Two samples of one law are some distance apart, too: ``gap_floor`` is W_1 between two batches of samples, and
``stop = duality_gap`` judges the gap above it.

On rates, weights, kernel, batch and n_critic the paper is silent, too; they are those of WGAN-GP and of WAE, from which
the terms come, but for the penalty on points. WGAN-GP's toy experiments have 0.1, so that a critic's slope may exceed
1 by some r / 0.2 at distance r. A generator does not mind the critic's scale, but L does: with a steeper f it pays to
move reconstructions off their examples. On ring8 (half width, held-out points, rate 1e-3, mean over the last 90,000 of
190,000 points, seeds 0 and 1) reconstruction error and gap were 0.34, 0.41 and 0.96, 1.08 with 0.1; 0.27, 0.24 and
0.83, 0.77 with 1; 0.44, 0.53 and 2.7, 2.7 with 10. At the rate of 1e-4 (seed 0, after 190,000 points): 0.58 and 1.25;
0.038 and 1.00; 0.068 and 1.40. So 1; longer trainings were not made.
"""

from collections.abc import Hashable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Trained
from latent_ot.losses.adversarial import wasserstein_critic
from latent_ot.losses.gradient_penalty import gradient_penalty, interpolates
from latent_ot.methods.base import Method, Spec
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.networks.families import among, families, networks
from latent_ot.ranks import gather
from latent_ot.seeding import generator
from latent_ot.stage import Batch
from latent_ot.transport.duals import duals
from latent_ot.transport.mmd import mmd_squared

POINTS = {
    "network": "toy",
    "batch_size": 256,
    "latent_dim": 5,
    "penalty": 1.0,
    "gap_tol": 0.1,
}
COLOUR = {"network": "iwgan_celeba", "latent_dim": 64}
"""Defaults for 2-D points (Section 5.1; batch as WGAN-GP's toy experiments, penalty: above) and colour images."""

GAP_EXAMPLES = 1000  # as the 2-D protocol has; the transport between them takes a third of a second

NETWORKS = among("iwgan_mnist", "iwgan_celeba", "toy", "infogan")


class IwganConfig(Trained):
    """Settings of iWGAN."""

    network: Annotated[str, NETWORKS] = Field(
        "iwgan_mnist", description="Appendix D2; of colour images D3, of points D1"
    )
    batch_size: int = Field(64, ge=2, description="examples an inner step; silent, WGAN-GP's; of points 256")
    latent_dim: int = Field(8, ge=1, description="code length; Appendix D: 8 for MNIST, 64 for CelebA, 5 for points")
    n_critic: int = Field(5, ge=1, description="steps of f, then as many of G and Q; silent, WGAN-GP's")
    penalty: float = Field(10.0, ge=0, description="lambda_1; silent, WGAN-GP's; of points 1, see above")
    between: Literal["data", "reconstructions"] = Field(
        "data", description="what the penalised points lie between, beside samples; Algorithm 1, line 3"
    )
    mmd_weight: float = Field(10.0, ge=0, description="lambda_2; silent, WAE's for MNIST")
    lr: float = Field(1e-4, gt=0, description="Adam; silent, WGAN-GP's")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; silent, WGAN-GP's release for MNIST")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam; silent, WGAN-GP's")
    gap_every: int = Field(20, ge=1, description="estimates of the duality gap over the run; silent")
    stop: Literal["budget", "duality_gap"] = Field("budget", description="when to stop; Algorithm 1, line 1: the gap")
    gap_tol: float = Field(
        5.0, gt=0, description="epsilon_1 above the floor, epsilon_2 with it, in units of ||x||; silent; of points 0.1"
    )


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


class Gap(NamedTuple):
    """The halves of the duality gap, Eq. (4), on a batch; all in units of ||x|| in the networks' range.

    ``reconstruction`` and ``transport``: E||x - G(Q(x))|| and W_1(G(Q(x)), G(z)), whose sum is sup_f L. ``floor``: W_1
    of two batches of samples G(z). ``infimum``: of L(G, Q, f) at the trained f, at most 0. ``objective``: L itself.
    """

    reconstruction: Tensor
    transport: Tensor
    floor: Tensor
    infimum: Tensor
    objective: Tensor

    @property
    def value(self) -> Tensor:
        """The gap with the infimum at 0, hence sup_f L."""
        return self.reconstruction + self.transport


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return W_1 of two batches (n, d), exact, of which NaN is made where they are not finite."""
    cost = torch.cdist(x, y)
    return cost.new_tensor(sum(part.mean() for part in duals(cost.numpy())) if cost.isfinite().all() else torch.nan)


def infimum(x: Tensor, outputs: Tensor, f: Tensor) -> Tensor:
    """Return the least L(G, Q, f) over all G and Q that map onto ``outputs`` (m, d), where the critic is ``f`` (m,).

    Codes of the examples ``x`` (n, d) have probability 0, so G may take each to the best output for its example and
    all else to where f is highest. With all of ``x`` among the outputs it is at most 0.
    """
    return (torch.cdist(x, outputs) + f).min(dim=1).values.mean() - f.max()


class Iwgan(Method):
    """Generator G, encoder Q and critic f."""

    version = 2
    Config = IwganConfig
    makes_images = ("autoencoder",)
    adversary = "f"
    replayable = True
    accepts = ("image", "points")
    config: IwganConfig
    last_gap: Tensor

    def __init__(self, config: IwganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.latent_dim = config.latent_dim
        norm = "none" if config.network == "infogan" else None  # a penalised critic must treat images one by one
        self.G, self.f, self.data_range = networks(config.network, config.latent_dim, spec.shape, spec.width, norm)
        self.Q = families()[config.network].encoder(spec.shape, config.latent_dim, spec.width)
        self.register_buffer("last_gap", torch.zeros(len(Gap._fields)))

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
        """Algorithm 1, line 1: the run goes on while gap > epsilon_1 or L > epsilon_2; at the best f, L is the gap."""
        gap = self.gap
        return self.config.stop == "duality_gap" and bool(gap.value - gap.floor <= self.config.gap_tol)

    @property
    def gap(self) -> Gap:
        """The last one taken."""
        return Gap(*self.last_gap)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for generator and encoder, one for the critic."""
        return [self._adam(self.G, self.Q), self._adam(self.f)]

    def _adam(self, *modules: nn.Module) -> torch.optim.Optimizer:
        parameters, c = [p for module in modules for p in module.parameters()], self.config
        return torch.optim.Adam(parameters, lr=c.lr, betas=(c.beta1, c.beta2), fused=True)

    def prior(self, n: int, g: torch.Generator) -> Tensor:
        """Draw codes (n, d) from N(0, I)."""
        return torch.randn(n, self.latent_dim, generator=g).to(self.device)

    def critic_terms(self, G: nn.Module, Q: nn.Module, f: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what f ascends, mean f(G(Q(x))) - mean f(G(z)), and the penalty on its slope: lines 3 to 7."""
        with torch.no_grad():
            rebuilt, fake = G(Q(x)), G(self.noise(len(x), self.latent_dim))
        t = self.uniform(len(x))
        ends = x if self.config.between == "data" else rebuilt
        return -wasserstein_critic(f(rebuilt), f(fake)), gradient_penalty(f, interpolates(ends, fake, t))

    @property
    def judges(self) -> bool:
        """Whether the step to come begins with an estimate of the duality gap, which the host makes."""
        return self.step % max(1, self.total_steps // self.config.gap_every) == 0 or self.step + 1 == self.total_steps

    @property
    def phase(self) -> Hashable | None:
        """None of a step that begins with an estimate."""
        return None if self.judges else ()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1, lines 2 to 15."""
        c = self.config
        optimizers: Any = self.optimizers()
        optimizer, f_optimizer = optimizers
        examples = self.to_network(batch.image)
        if self.judges:
            fresh, g = gather(examples), generator(self.spec.seed, "gap", self.step)  # before they are learned
            taken = self.duality_gap(fresh, g)
            self.last_gap.copy_(torch.stack(taken))
        parts = examples.chunk(2 * c.n_critic)
        with self.toggled_optimizer(f_optimizer):
            for x in parts[: c.n_critic]:
                distance, penalty = self.critic_terms(self.G, self.Q, self.f, x)
                self.descend(c.penalty * penalty - distance, critic=f_optimizer)
        with self.toggled_optimizer(optimizer):
            for x in parts[c.n_critic :]:
                z = self.noise(len(x), self.latent_dim)
                terms = objective(self.G, self.Q, self.f, x, z)
                mmd = mmd_squared(gather(terms.codes), gather(z))
                self.descend(terms.value + c.mmd_weight * mmd, autoencoder=optimizer)
        self.observe(
            reconstruction=terms.reconstruction, distance=distance, penalty=penalty, mmd=mmd, gap=self.gap.value,
            gap_infimum=self.gap.infimum, objective=self.gap.objective,
        )  # fmt: skip

    @torch.no_grad()
    def duality_gap(self, x: Tensor, g: torch.Generator) -> Gap:
        """Return the duality gap of Eq. (4) on examples ``x`` (n, ...) in the networks' range, of which 1,000 count.

        It depends on the weights and on the examples alone, which should be ones that the networks have not learned,
        and nothing is changed. Networks are in eval mode, as when they are sampled.
        """
        modes = {module: module.training for module in self.modules()}
        self.eval()
        x = x[:GAP_EXAMPLES]
        rebuilt, fake, other = self.G(self.Q(x)), *(self.G(self.prior(len(x), g)) for _ in range(2))
        values = [self.f(batch).flatten().double().cpu() for batch in (x, rebuilt, fake)]
        for module, mode in modes.items():
            module.training = mode
        x, rebuilt, fake, other = (batch.flatten(1).double().cpu() for batch in (x, rebuilt, fake, other))
        reconstruction = reconstruction_errors(x, rebuilt).mean()
        return Gap(
            reconstruction,
            wasserstein(rebuilt, fake),
            wasserstein(fake, other),
            infimum(x, torch.cat([x, rebuilt, fake]), torch.cat(values)),
            reconstruction - wasserstein_critic(values[1], values[2]),
        )

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
        """Return the last duality gap, its parts, and L, in units of ||x|| in the networks' range."""
        parts = {f"gap_{name}": value.item() for name, value in self.gap._asdict().items() if name != "objective"}
        return {"duality_gap": self.gap.value.item(), **parts, "objective": self.gap.objective.item()}
