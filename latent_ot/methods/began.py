"""BEGAN: a generator against an autoencoder that must reconstruct real images better than generated ones.

Berthelot, Schumm and Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017,
https://arxiv.org/abs/1703.10717, Section 3.4: with L(v) the mean absolute error of the autoencoder's reconstruction of
v, the critic descends L(x) - k L(G(z)), the generator L(G(z)), and k follows so that L(G(z)) stays at gamma L(x). Batch
and learning rate are the GLDO paper's, which runs it; that paper states the rate for the generator, and the critic
takes it, too. The rate is halved twice, after a fifth and two fifths of the budget, as in the public code.

k sums lambda_k times a small difference over the public code's 500,000 steps; with that lambda_k it never leaves 0 in a
thousandth of them, and the critic never looks at a generated image. In a shorter run lambda_k grows as steps are fewer.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import l1_loss

from latent_ot.config import Trained
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.began import Critic, Generator
from latent_ot.ranks import mean
from latent_ot.stage import Batch

PUBLISHED_STEPS = 500_000  # public code


class BeganConfig(Trained):
    """Settings of BEGAN."""

    batch_size: int = Field(64, ge=1, description="images a step; GLDO, Section 4.1 (BEGAN: 16)")
    latent_dim: int = Field(
        100, ge=1, description="length of z and of the critic's code; GLDO, Section 4.1 (BEGAN, Section 4.1: 64)"
    )
    filters: int = Field(64, ge=1, description="n, channels of the networks; BEGAN, Section 4.1 (128 at 128 pixels)")
    lr: float = Field(1e-3, gt=0, description="Adam; GLDO, Section 4.1, of the generator (BEGAN: 5e-5 to 1e-4)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; public code")
    gamma: float = Field(0.5, ge=0, le=1, description="L(G(z)) / L(x) at equilibrium; BEGAN, Section 3.3 (0.3 to 0.7)")
    k_rate: float = Field(1e-3, ge=0, description="lambda_k, step of k, at 500,000 steps; BEGAN, Section 3.4")
    halvings: int = Field(2, ge=0, description="of the learning rate, each fifth of the budget; public code")


def balance(real: Tensor, fake: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return gamma L(x) - L(G(z)) and the measure of convergence L(x) + |gamma L(x) - L(G(z))|, scalars.

    BEGAN, Sections 3.4 and 3.4.1.
    """
    gap = gamma * real - fake
    return gap, real + gap.abs()


class Began(Gan):
    """Generator G, autoencoder D and the weight k in [0, 1]."""

    version = 2
    Config = BeganConfig
    adversary = "D"
    replayable = True
    config: BeganConfig
    data_range = (-1.0, 1.0)
    k: Tensor
    convergence: Tensor

    def __init__(self, config: BeganConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "began")
        self.latent_dim = config.latent_dim
        self.G = Generator(config.latent_dim, shape, spec.width, config.filters)
        self.D = Critic(shape, config.latent_dim, spec.width, config.filters)
        self.k_rate = config.k_rate * max(1.0, PUBLISHED_STEPS / self.total_steps)
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.D)

    def error(self, v: Tensor) -> Tensor:
        """Return L(v) of images in the networks' range, a scalar; its gradient goes to the images both ways."""
        return l1_loss(self.D(v), v)

    def set_rates(self) -> None:
        """Halve the rate after each fifth of the budget, so often."""
        optimizers: Any = self.optimizers()
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = self.config.lr * 0.5 ** min(self.config.halvings, int(5 * self.progress))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One critic step, one generator step on fresh codes, one step of k."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        n, c = len(batch.image), self.config
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                fake = self.G(self.uniform_codes(n))
            real_error = self.error(self.to_network(batch.image))
            d_loss = real_error - self.k * self.error(fake)
            self.descend(d_loss, discriminator=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = self.error(self.G(self.uniform_codes(n)))
            self.descend(g_loss, generator=g_optimizer)
        with torch.no_grad():
            gap, convergence = balance(mean(real_error), mean(g_loss), c.gamma)
            self.k.add_(self.k_rate * gap).clamp_(0, 1)
            self.convergence.lerp_(convergence.to(self.convergence), 0.05 if self.step else 1.0)
        self.observe(
            discriminator=d_loss, generator=g_loss, reconstruction=real_error, convergence=convergence, k=self.k
        )

    def uniform_codes(self, n: int) -> Tensor:
        """Return this step's next codes (n, d)."""
        return self.draw(n, self._uniform)

    def scores(self, x: Tensor) -> Tensor:
        """Return -L(v) of each image (n,): the autoencoder learns to reconstruct real ones better."""
        v = self.to_network(x)
        return -(self.D(v) - v).abs().flatten(1).mean(dim=1)

    def sample_latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes (n, d) from the uniform distribution on [-1, 1]^d."""
        return self._uniform(n, generator).to(self.device)

    def _uniform(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, self.latent_dim, generator=generator).mul_(2).sub_(1)

    def project(self, z: Tensor) -> Tensor:
        """Return the nearest codes in [-1, 1]^d."""
        return z.clamp(-1, 1)

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z); the head is linear, what exceeds the range is cut."""
        return super().decode(z).clamp(0, 1)

    def facts(self) -> dict[str, float]:
        """Return k at the end and its step, and the measure of convergence, mean over the last steps."""
        return {"k": self.k.item(), "k_rate": self.k_rate, "convergence": self.convergence.item()}
