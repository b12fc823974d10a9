"""WAE-MMD: an autoencoder whose codes as a whole, not one by one, are held to N(0, I).

Tolstikhin, Bousquet, Gelly and Schoelkopf, "Wasserstein Auto-Encoders", ICLR 2018, https://arxiv.org/abs/1711.01558,
Algorithm 2: a reconstruction cost plus the maximum mean discrepancy between a batch of codes and as many draws from the
prior, which bounds an optimal transport cost between data and model. Networks (``network=wae``: WAE's), batch and the
code length of 100 are the GLDO paper's, which runs it; cost, weight, kernel, rates, input noise and pretraining are the
authors', since that paper states none. Their schedules and their 200 pretraining steps are kept as shares of the
budget. The authors' weights go with their own code lengths of 8 and 64, which the method ``wae_mmd_own`` has: a batch
of 64 codes holds 100 dimensions less close to the prior.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Trained, added
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.families import among, families
from latent_ot.networks.infogan import init_normal
from latent_ot.ranks import gather
from latent_ot.stage import Batch
from latent_ot.transport.mmd import mmd_squared

LATENT_DIM = {1: 8, 3: 64}
"""Channels -> code length: 8 for MNIST, 64 for CelebA (WAE, Section 4), whose value other colour images take, too."""
COST = {1: 0.05, 3: 0.2}
"""Channels -> weight of the squared error of images in [0, 1], summed over an image: the release's 0.05 on its own
images, which are in (0, 1) for MNIST and in (-1, 1), where errors are four times as large, for CelebA."""
MMD_WEIGHT = {1: 10.0, 3: 100.0}
"""Channels -> lambda: 10 for MNIST, 100 for CelebA (WAE, Section 4), whose value other colour images take, too."""
SCHEDULE: dict[int, Literal["steps", "exponential"]] = {1: "steps", 3: "exponential"}
"""Channels -> schedule of the learning rate: MNIST's and CelebA's (WAE, Appendix; authors' release)."""
PRETRAIN_STEPS = 200

NETWORKS = among("infogan", "wae")


class WaeMmdConfig(Trained):
    """Settings of WAE-MMD."""

    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1 (WAE, Section 4: 100)")
    latent_dim: int | None = Field(
        100, ge=1, description="code length d; GLDO, Section 4.1; none: 8 for one channel, else 64 (WAE, Section 4)"
    )
    lr: float = Field(1e-3, gt=0, description="Adam; WAE, Section 4, and GLDO, Section 4.1")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; WAE, Section 4")
    cost: float = added(COST[1], gt=0, description="of the summed squared error; release, 0.2 for colour: see COST")
    network: Annotated[str, NETWORKS] = added("infogan", description="GLDO, Table 7; wae: WAE, Appendix C")
    mmd_weight: float | None = Field(None, ge=0, description="lambda; none: 10 for one channel, else 100")
    schedule: Literal["constant", "steps", "exponential"] | None = Field(
        None, description="of lr; steps: /2 at 30 %, /5 at 50 % of the budget; exponential: to 1/100; none: by channels"
    )
    input_noise: float = Field(0.01, ge=0, description="std of truncated normal noise on encoder input; release")
    pretrain: float = Field(
        0.02, ge=0, lt=1, description="share of the budget, 200 steps at most, that fits moments of the codes; release"
    )
    init_std: float = Field(0.01, gt=0, description="initial weights; GLDO, Section 4.1, and WAE's release")


def moment_mismatch(z: Tensor) -> Tensor:
    """Return the mean squared differences of the codes' mean from 0 and covariance from I, added. ``z``: (n, d)."""
    x = z.T - (z.T.sum(dim=1) / len(z)).unsqueeze(1)
    covariance = x @ x.T / len(z)  # torch.cov, which waits for the device to see that rows have weights
    identity = torch.eye(z.shape[1], device=z.device, dtype=z.dtype)
    return z.mean(dim=0).square().mean() + (covariance - identity).square().mean()


def truncated_normal(shape: Sequence[int], std: float, generator: torch.Generator) -> Tensor:
    """Return draws from N(0, std^2) of a shape; those beyond two standard deviations are drawn again.

    So does the function of the authors' framework. torch's own draws otherwise from one release to the next.
    """
    drawn = torch.empty(shape).normal_(0.0, std, generator=generator)
    bound = drawn.new_tensor(2 * std)
    while (beyond := drawn.abs() > bound).any():
        drawn = drawn.where(~beyond, torch.empty(shape).normal_(0.0, std, generator=generator))
    return drawn


class WaeMmd(Method):
    """Deterministic encoder and decoder."""

    version = 1
    Config = WaeMmdConfig
    makes_images = ("autoencoder",)
    role = "representation"
    replayable = True
    default_sampler = "normal"
    config: WaeMmdConfig

    def __init__(self, config: WaeMmdConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "wae_mmd")
        self.latent_dim = config.latent_dim or LATENT_DIM.get(shape[0], 64)
        self.mmd_weight = MMD_WEIGHT.get(shape[0], 100.0) if config.mmd_weight is None else config.mmd_weight
        self.schedule = config.schedule or SCHEDULE.get(shape[0], "exponential")
        self.pretrain_steps = min(PRETRAIN_STEPS, int(config.pretrain * self.total_steps))
        nets = families()[config.network]
        self.data_range = nets.data_range
        self.encoder = init_normal(nets.encoder(shape, self.latent_dim, spec.width), config.init_std)
        self.decoder = init_normal(nets.generator(self.latent_dim, shape, spec.width), config.init_std)

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Colour images have the cost of CelebA's."""
        return {"cost": COST[3]} if shape[0] == 3 else {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks; it leaves the decoder alone while that has no gradient."""
        return torch.optim.Adam(self.parameters(), lr=self.config.lr, betas=(self.config.beta1, 0.999), fused=True)

    def rate(self) -> float:
        """Return the learning rate of the step to come."""
        if self.schedule == "exponential":
            return self.config.lr * 0.01**self.progress
        drops = (self.progress >= 0.3, self.progress >= 0.5) if self.schedule == "steps" else (False, False)
        return self.config.lr / (2 if drops[0] else 1) / (5 if drops[1] else 1)

    def set_rates(self) -> None:
        """Set the rate by the schedule."""
        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self.rate()

    @property
    def phase(self) -> Hashable:
        """Whether the steps fit moments of the codes."""
        return self.step < self.pretrain_steps

    def code_batch(self, x: Tensor) -> Tensor:
        """Return codes (n, d) of images, with the small input noise of training."""
        if self.config.input_noise:
            std, shape = self.config.input_noise, x.shape[1:]
            x = x + self.draw(len(x), lambda n, g: truncated_normal((n, *shape), std, g))
        return self.encoder(self.to_network(x))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step of Algorithm 2; the first few fit the encoder's moments to the prior's."""
        z = self.code_batch(batch.image)
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        if self.step < self.pretrain_steps:
            loss = moment_mismatch(gather(z))
            self.observe(moment_mismatch=loss)
        else:
            squared = (batch.image - self.decode(z)).square().sum() / len(z)
            mmd = mmd_squared(gather(z), gather(self.noise(*z.shape)))
            loss = self.config.cost * squared + self.mmd_weight * mmd
            self.observe(loss=loss, squared_error=squared, mmd=mmd)
        self.manual_backward(loss)
        self.update("encoder" if self.step < self.pretrain_steps else "autoencoder", optimizer)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes (n, d), without noise."""
        return self.encoder(self.to_network(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return images of codes."""
        return self.to_unit(self.decoder(z))
