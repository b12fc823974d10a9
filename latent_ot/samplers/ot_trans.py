"""OTtrans: noise is assigned to codes once, by exact optimal transport, and a network learns the assignment.

Zhang et al., "Optimal Transport Based Generative Autoencoders", 2019, https://arxiv.org/abs/1910.07636, Section 3.1 and
Algorithm 1: for noises n_i ~ U(-1, 1)^d and as many codes, sigma is the bijection of least summed squared distance, and
the network f_w minimises the mean of ||f_w(n_i) - sigma(n_i)||^2 over random batches of the fixed pairs. Layers and the
step size on points are Section 4's, those on images Section 5's and the authors' public code's
(https://github.com/oliverzhang42/Generative-Autoencoders).

What differs, and why:
- The paper does not say how many pairs there are; 4,096 are assigned in seconds, and time grows with their cube.
- Section 4.2 and the code have L1, Eq. 1 does not, and the code assigns each batch anew: ``reg_loss=l1`` and
  ``resample_ot=per_step``.
- Codes are learnt in a frame: less their mean, over one common scale. Neither changes the best bijection, and one step
  size then fits all codes. Where all codes lie in [0, 1], as those of the code's autoencoder do, they stay as they are
  and a final sigmoid bounds the network. Figures are in the codes' own units.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.networks.ema import Ema
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp
from latent_ot.pictures.lines import Lines
from latent_ot.samplers.base import Frame, LatentSampler, spread
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec
from latent_ot.transport.assignment import assign

HIDDEN = 512  # units of a hidden layer; Section 4 and the public code
SHOWN = 200  # pairs in the picture


class MapConfig(Config):
    """Settings that OTtrans and OTgen share."""

    batch_size: int = Field(128, ge=2, description="codes a step; OTgen, Sections 4 and 5.1 (CelebA, 5.2: 4,096)")
    lr: float | None = Field(
        None, gt=0, description="Adam; none: 3e-4 up to d = 2 (OTgen, Section 4), else 1e-3 (its public code)"
    )
    squash: bool | None = Field(
        None, description="whether a sigmoid ends the network; none: where all codes lie in [0, 1]; silent in OTgen"
    )
    reg_loss: Literal["l2sq", "l1"] = Field("l2sq", description="squared L2 (OTgen, Eq. 1) or L1 (its public code)")


def regression(p: Tensor, z: Tensor, loss: str = "l2sq") -> Tensor:
    """Return the mean over points p (n, d) of ||p_i - z_i||^2 (OTgen, Eq. 1), or for "l1" of ||p_i - z_i||_1."""
    error = p - z
    return (error.abs() if loss == "l1" else error.square()).sum(dim=1).mean()


class CubeMap(nn.Module):
    """f_w: U(-1, 1)^d -> codes in the frame, or with a sigmoid at its end, if ``squash``, codes as they are.

    With ``average`` it also has the mean of the network's weights at the calls of ``average.update_parameters``.
    """

    squash: Tensor

    def __init__(self, dim: int, width: float, average: bool = False) -> None:
        super().__init__()
        self.dim, self.points = dim, dim <= 2
        (hidden,) = scaled(width, HIDDEN)
        self.network = Mlp([dim, *[hidden] * (4 if self.points else 6), dim], "leaky_relu")
        self.average = Ema(self.network, None) if average else None
        self.frame = Frame(dim)
        self.register_buffer("squash", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def fit(self, codes: Tensor, squash: bool | None) -> None:
        """Choose the frame for codes (n, d).

        Raises:
            InputError: if a sigmoid is asked for and cannot reach the codes.
        """
        low, high = codes.min().item(), codes.max().item()
        inside = low >= 0 and high <= 1
        if squash and not inside:
            raise InputError(f"setting 'squash' = true with codes from {low:.4g} to {high:.4g}; allowed: within [0, 1]")
        self.squash.fill_(inside if squash is None else squash)
        if not self.squash:
            self.frame.fit(codes)

    def forward(self, w: Tensor) -> Tensor:
        """Map points of the cube into the frame, both (n, d)."""
        return self._bounded(self.network(w))

    def codes(self, w: Tensor) -> Tensor:
        """Return the codes (n, d) of points of the cube, by the averaged weights where there are any."""
        network = self.network if self.average is None or not self.average.n_averaged else self.average
        return self.frame.back(self._bounded(network(w)))

    def _bounded(self, u: Tensor) -> Tensor:
        return torch.where(self.squash, u.sigmoid(), u)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw U(-1, 1)^d, (n, d)."""
        return (2 * torch.rand(n, self.dim, generator=generator) - 1).to(self.squash.device)

    def adam(self, lr: float | None) -> torch.optim.Adam:
        """Return the optimizer that the paper gives to points and its public code to images."""
        default, betas = (3e-4, (0.9, 0.999)) if self.points else (1e-3, (0.5, 0.999))
        return torch.optim.Adam(self.network.parameters(), lr=lr or default, betas=betas, fused=True)


class OtTransConfig(MapConfig):
    """Settings of OTtrans."""

    pairs: int = Field(4096, ge=1, description="noises and codes that are assigned, at most; silent in the paper")
    resample_ot: Literal["once", "per_step"] = Field(
        "once", description="assign once (OTgen, Algorithm 1) or every batch of codes anew (its public code)"
    )


class OtTrans(LatentSampler):
    """f_w and the pairs that it learns, in the frame: ``starts`` (m, d) and their ``targets`` (m, d)."""

    version = 2
    Config = OtTransConfig
    closed_form = False
    maps = True
    config: OtTransConfig
    starts: Tensor
    targets: Tensor

    def __init__(self, config: OtTransConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.once = config.resample_ot == "once"
        self.map = CubeMap(self.dim, spec.width)
        m = min(spec.count, config.pairs) if self.once else config.batch_size
        self.register_buffer("starts", torch.zeros(m, self.dim))
        self.register_buffer("targets", torch.zeros(m, self.dim))

    def _fit(self, codes: Tensor) -> None:
        self.map.fit(codes, self.config.squash)
        if self.once:
            g = generator(self.spec.seed, "pairs")
            chosen = torch.randperm(len(codes), generator=g)[: len(self.targets)]
            self._pair(codes[chosen.to(codes.device)], g)

    @torch.no_grad()
    def _pair(self, codes: Tensor, g: torch.Generator) -> None:
        """Assign fresh noises to codes (m, d)."""
        z, n = self.map.frame(codes), self.source(len(codes), g)
        self.starts.copy_(n)
        self.targets.copy_(z[assign(n, z)])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam."""
        return self.map.adam(self.config.lr)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step on pairs: a random batch of the fixed ones, or the batch's codes assigned anew."""
        n, z = self.starts, self.targets
        if self.once:
            rows = torch.randperm(len(n), generator=self.generator)[: self.config.batch_size].to(self.device)
            n, z = n[rows], z[rows]
        else:
            self._pair(batch.image, self.generator)
        loss = regression(self.map(n), z, self.config.reg_loss)
        optimizer: Any = self.optimizers()
        self.descend(loss, map=optimizer)
        self.observe(loss=loss)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw U(-1, 1)^d."""
        return self.map.source(n, generator)

    def transport(self, w: Tensor) -> Tensor:
        """Return the codes that f_w gives."""
        return self.map.codes(w)

    @torch.no_grad()
    def facts(self) -> dict[str, Any]:
        """Return how far the pairs lie apart and how well f_w knows them, in squares of the codes' spread, as means.

        The noise stands at mean + scale n, where it was when it was assigned. Where every batch is assigned anew the
        pairs are the last batch's.
        """
        unit = spread(self.targets) ** 2
        cost, error = (
            (x - self.targets).square().sum(dim=1).mean().item() / unit for x in (self.starts, self.map(self.starts))
        )
        return {"pairs": len(self.starts), "assignment_cost": cost, "regression_error": error}

    @torch.no_grad()
    def plane(self, seed: int) -> tuple[Lines, ...] | None:
        """Return lines from noise to its codes and to where f_w puts it, for 2-D codes; None in other dimensions."""
        if self.dim != 2:
            return None
        rows = torch.randperm(len(self.starts), generator=generator(seed, "picture"))[:SHOWN].to(self.device)
        n = self.starts[rows]
        clouds = (n, self.targets[rows], self.map(n))
        noise, codes, drawn = (self.map.frame.back(x).double().cpu().numpy() for x in clouds)
        return (
            Lines(f"{len(n)} of {len(self.starts)} noises and their codes", noise, codes),
            Lines("where the network puts them", noise, drawn),
            Lines("from there to their codes", drawn, codes),
        )
