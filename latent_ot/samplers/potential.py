"""Potential: a network learns the Kantorovich potential from noise to codes, and its gradient moves the noise.

The AE-OT of Liu et al., "Latent Space Optimal Transport for Generative Models", https://arxiv.org/abs/1809.05964, as
Section 2.3 of AE-OTtrans/AE-OTgen describes it: z = y + grad D(y) with y ~ N(0, I). Another method than the
semi-discrete AE-OT, whose name it shares. The attempt at it in AE-OTgen's public code does not run, so that training is
by the recipe of WGAN-QC, of the same authors (Liu, Gu and Samaras, ICCV 2019; public code): every batch's exact
assignment gives both the values that the network should have and the moves that its gradient should make, and both are
regressed; nothing is adversarial.

With the cost 0.5 ||x - y||^2 of code x and noise y the dual is max E phi(x) - E psi(y), phi(x) - psi(y) <= cost, and
the optimal partner of y is x_sigma(y) = y + grad psi(y).

What differs, and why:
- Two potentials, psi on the noise and phi on the codes; the papers write one D for both. One function is feasible only
  as a constant wherever noise and codes overlap, and one fitted to both duals has wrong slopes there: from N(0, 1) to
  N(2, 1) about 1.5 instead of 2. ``potentials=single`` is the papers' D. Draws need psi alone; phi is a check.
- Codes are brought to mean 0 and to a mean variance of 1 by one shift and one factor, and draws are brought back. The
  optimal map from N(0, I) only gains that shift and factor, so nothing is lost, and one step size fits all codes.
  ``standardise=false`` trains on codes as they are.
- The gradient of a LeakyReLU network is constant on each of its linear pieces: draws are pieces of the Gaussian, each
  moved as a whole, and what the map should stretch is torn instead (on two moons most of a line is moved without any
  stretching, and the rest is jumps). With ``activation=softplus`` or ``elu`` the map is continuous; it is learnt more
  slowly, softplus most of all.

What no setting cures: in high dimensions the moves that are regressed are biased. In a small batch the partner of y is
hardly nearer to y than any other code, so that its mean over batches, which is all that a network can learn, lies near
the mean of the codes. Of the total variance of the codes of ``ae`` (mnist5k, budget ci, d = 64) this mean partner keeps
20 % in batches of 128, 30 % in 512 and 45 % in 2,048, whatever the network and its activation; of the 8 dimensions of
``ae_ot_kp`` it keeps 57 % in batches of 128. The time of an exact assignment grows with the cube of the batch.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp
from latent_ot.samplers.base import Frame, LatentSampler
from latent_ot.stage import Batch, Spec
from latent_ot.transport.assignment import assign
from latent_ot.transport.duals import duals


class PotentialConfig(Config):
    """Settings of the Kantorovich potential."""

    batch_size: int = Field(
        128, ge=2, description="codes, and points of noise, a step; AE-OTtrans/AE-OTgen, Section 5.1"
    )
    potentials: Literal["two", "single"] = Field("two", description="networks; AE-OTtrans/AE-OTgen 2.3 write a single")
    gradient_weight: float = Field(
        0.1, ge=0, description="lambda, weight of the squared error of moves; AE-OTtrans/AE-OTgen, Section 5.1"
    )
    hidden: int = Field(512, ge=1, description="units a layer; as the mapping network, AE-OTtrans/AE-OTgen, Section 4")
    layers: int = Field(
        6, ge=1, le=100, description="hidden layers; as the mapping network of AE-OTtrans/AE-OTgen for images"
    )
    activation: Literal["leaky_relu", "softplus", "elu"] = Field(
        "leaky_relu", description="as the mapping network's; the smooth ones are ours"
    )
    lr: float = Field(1e-3, gt=0, description="Adam; AE-OTgen's code for its mapping network")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; AE-OTgen's code for its mapping network")
    standardise: bool = Field(True, description="whether codes are brought to mean 0 and mean variance 1; ours")


def couple(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Solve the assignment between codes x (m, d) and noise y (m, d) for the cost 0.5 ||x - y||^2, in float64.

    Returns:
        The potentials H_x (m,) and H_y (m,), H_x_i - H_y_j <= c_ij, of mean zero together; the partner x_sigma(y)
        (m, d) of every y; and the cost (m, m).
    """
    cost = 0.5 * torch.cdist(x.double(), y.double()).square()
    u, v = (torch.from_numpy(side).to(x) for side in duals(cost.cpu().numpy()))
    return u, -v, x[assign(y, x)], cost


class Potential(LatentSampler):
    """psi on the noise side; phi on the code side, unless one network is both."""

    version = 1
    Config = PotentialConfig
    closed_form = False
    maps = True
    config: PotentialConfig
    trail: Tensor

    def __init__(self, config: PotentialConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        sizes = [self.dim, *scaled(spec.width, config.hidden) * config.layers, 1]
        self.psi = Mlp(sizes, config.activation)
        if config.potentials == "two":
            self.phi = Mlp(sizes, config.activation)
        self.frame = Frame(self.dim)
        self.register_buffer("trail", torch.zeros(4))  # the facts, as running means over the last steps

    def _fit(self, codes: Tensor) -> None:
        if self.config.standardise:
            self.frame.fit(codes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks."""
        config = self.config
        return torch.optim.Adam(self.parameters(), lr=config.lr, betas=(config.beta1, 0.999), fused=True)

    def loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return MSE of the potentials + lambda MSE of the moves, of codes x (m, d) and noise y (m, d); and the facts.

        Potentials count up to a constant: one for psi and one for phi, a common one for a single network.
        """
        h_x, h_y, partner, cost = couple(x, y)
        y = y.detach().requires_grad_()
        psi = self.psi(y)[:, 0]
        (move,) = torch.autograd.grad(psi.sum(), y, create_graph=True)
        two = self.config.potentials == "two"
        off_x, off_y = (self.phi if two else self.psi)(x)[:, 0] - h_x, psi - h_y
        constants = (off_x.mean(), off_y.mean()) if two else [torch.cat([off_x, off_y]).mean()] * 2
        error_x, error_y = ((off - c).square().mean() for off, c in zip((off_x, off_y), constants, strict=True))
        error_move = (y + move - partner).square().sum(dim=1).mean()
        with torch.no_grad():
            least = (partner - y).square().sum(dim=1).mean() / 2
            reached = (psi + cost).min(dim=1).values.mean() - psi.mean()  # psi's c-transform is feasible with psi
            spread_x = h_x.var() + 1e-12  # codes may be all alike
            shares = error_y / h_y.var(), error_x / spread_x, error_move / (2 * least), 1 - reached / least
        return error_x + error_y + self.config.gradient_weight * error_move, torch.stack(shares)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Couple the batch with fresh noise and descend the loss."""
        x = self.frame(batch.image)
        loss, shares = self.loss(x, self.noise(*x.shape))
        optimizer: Any = self.optimizers()
        self.descend(loss, potential=optimizer)
        self.trail.lerp_(shares.to(self.trail), 0.05 if self.step else 1.0)
        self.observe(loss=loss, duality_gap=self.trail[3])

    @torch.enable_grad()
    def transport(self, w: Tensor) -> Tensor:
        """Return the codes of w + grad psi(w), without gradient."""
        w = w.detach().requires_grad_()
        (move,) = torch.autograd.grad(self.psi(w).sum(), w)
        return self.frame.back((w + move).detach())

    def facts(self) -> dict[str, float]:
        """Return, as means over the last batches, what is left unexplained of each batch's own optimal transport.

        ``psi_mismatch``, ``phi_mismatch``: of the variance of the potentials on noise and on codes. ``map_mismatch``:
        of the squared moves. ``duality_gap``: 1 - (dual value of psi and its c-transform) / (least cost), never
        negative. A batch's own optimum is itself a noisy one, so that none of them reaches 0.
        """
        names = ("psi_mismatch", "phi_mismatch", "map_mismatch", "duality_gap")
        return dict(zip(names, self.trail.tolist(), strict=True))
