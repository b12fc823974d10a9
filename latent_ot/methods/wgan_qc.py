"""WGAN-QC: a critic that regresses the exact potentials of each batch's quadratic transport problem.

Liu, Gu and Samaras, "Wasserstein GAN With Quadratic Transport Cost", ICCV 2019,
https://openaccess.thecvf.com/content_ICCV_2019/html/Liu_Wasserstein_GAN_With_Quadratic_Transport_Cost_ICCV_2019_paper.html.
Between a real batch x and a generated batch y a linear program finds potentials H that maximise mean H(x) - mean H(y)
under H(x_i) - H(y_j) <= K/2 |x_i - y_j|^2, and the bijection that pays this cost. H is the critic's target, and the
optimal transport regularizer holds its slope at y to K times the distance of y from its partner, since at the optimum
x = y + grad D(y) / K. The generator maximises mean D(G(z)) on the very codes whose images the critic has just seen.
All constants, and that last choice, are the authors' release's, https://github.com/harryliew/WGAN-QC. Samples come from
an average of the generator over the end of training, which here takes batch normalisation statistics in, too, and whose
memory is the same share of a run of any length; before the average begins they come from the generator itself.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from latent_ot.config import Trained
from latent_ot.losses.adversarial import wasserstein_generator
from latent_ot.losses.gradient_penalty import slopes
from latent_ot.methods.base import Gan, Spec, require_images
from latent_ot.networks.ema import Ema
from latent_ot.networks.families import among, networks
from latent_ot.networks.infogan import init_normal
from latent_ot.ranks import gather, share
from latent_ot.stage import Batch
from latent_ot.transport.assignment import assign
from latent_ot.transport.duals import duals

PUBLISHED_STEPS = 60_000  # on CelebA; authors' release
HQ = {"batch_size": 16, "gamma": 0.05}
"""Defaults from 256 pixels on: the release's for CelebA-HQ."""

NETWORKS = among("infogan", "wgan_qc")


class WganQcConfig(Trained):
    """Settings of WGAN-QC."""

    network: Annotated[str, NETWORKS] = Field("wgan_qc", description="authors' release, resnet2 and resnet1")
    batch_size: int = Field(64, ge=2, description="images a step; authors' release (CelebA-HQ: 16)")
    gamma: float = Field(0.1, ge=0, description="weight of the regularizer; authors' release (CelebA-HQ: 0.05)")
    K: float | None = Field(None, gt=0, description="of the cost K/2 |x - y|^2; none: 1 / (C H W), authors' release")
    latent_dim: int = Field(128, ge=1, description="code length d; authors' release")
    lr: float = Field(1e-4, gt=0, description="Adam; authors' release")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; authors' release")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam; authors' release")
    ema: float = Field(0.999, ge=0, le=1, description="decay of the average a step, of 60,000; authors' release")
    ema_share: float = Field(1 / 12, ge=0, le=1, description="of the run that is averaged; release: 5,000 of 60,000")
    init_std: float = Field(0.02, gt=0, description="of InfoGAN's initial weights; the large-scale GAN study")


class Potentials(NamedTuple):
    """H at the real images (m,), H at the generated ones (m,), and each generated image's real partner, int64 (m,)."""

    real: Tensor
    fake: Tensor
    partner: Tensor


def potentials(x: Tensor, y: Tensor, K: float) -> Potentials:
    """Return optimal potentials of real images x (m, ...) and generated y (m, ...) for costs K/2 |x_i - y_j|^2.

    All values together have mean zero. They are float64; no gradient passes.
    """
    x, y = x.detach().flatten(1).double(), y.detach().flatten(1).double()
    u, v = duals((K / 2 * torch.cdist(x, y).square()).cpu().numpy())
    real, fake = (torch.from_numpy(values).to(x.device) for values in (u, -v))
    return Potentials(real, fake, assign(y, x))


def transport_regularizer(slope: Tensor, distance: Tensor, K: float) -> Tensor:
    """Return 1/2 E (||grad D(y)|| / (2 sqrt K) - sqrt K / 2 |x - y|)^2 of slopes and distances (m,); 0 is optimal."""
    return 0.5 * (slope / (2 * K**0.5) - K**0.5 / 2 * distance).square().mean()


class WganQc(Gan):
    """Generator G, critic D and the average of G."""

    version = 1
    Config = WganQcConfig
    adversary = "D"
    config: WganQcConfig

    def __init__(self, config: WganQcConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "wgan_qc")
        self.latent_dim = config.latent_dim
        self.K = config.K or 1 / math.prod(shape)
        self.G, self.D, self.data_range = networks(config.network, config.latent_dim, shape, spec.width, "none")
        if config.network == "infogan":
            for net in (self.G, self.D):
                init_normal(net, config.init_std)
        self.average = Ema(self.G, config.ema ** (PUBLISHED_STEPS / self.total_steps))
        self.first_averaged = round((1 - config.ema_share) * self.total_steps)

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Large images have smaller batches and a weaker regularizer."""
        return HQ if shape[-1] >= 256 else {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network."""
        return self.adams(self.G, self.D)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One regression step of the critic on the batch's potentials, one generator step."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        x = self.to_network(batch.image)
        z = self.noise(len(x), self.latent_dim)
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                y = self.G(z)
            every = gather(x)
            H = potentials(every, gather(y), self.K)
            y.requires_grad_(True)
            d_x, d_y = self.D(x).squeeze(1), self.D(y).squeeze(1)
            regression = mse_loss(gather(d_x).mean(), H.real.mean().to(d_x)) + mse_loss(d_y, share(H.fake).to(d_y))
            distance = torch.linalg.vector_norm((every[share(H.partner)] - y.detach()).flatten(1), dim=1)
            penalty = 4 * self.K**0.5 * self.config.gamma * transport_regularizer(slopes(d_y, y), distance, self.K)
            self.descend(0.5 * regression + penalty, critic=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = wasserstein_generator(self.D(self.G(z)))
            self.descend(g_loss, generator=g_optimizer)
        if self.step >= self.first_averaged:
            self.average.update_parameters(self.G)
        cost = H.real.mean() - H.fake.mean()
        self.observe(distance=cost, critic=0.5 * regression, penalty=penalty, generator=g_loss)

    def decode(self, z: Tensor) -> Tensor:
        """Return images of the averaged generator, or of G itself before the average begins."""
        generator = self.average.module if self.average.n_averaged else self.G
        return self.to_unit(generator(z))

    def facts(self) -> dict[str, int]:
        """Return how many steps the average holds."""
        return {"averaged_steps": int(self.average.n_averaged)}
