"""RAE-GP: an autoencoder whose codes are kept small and whose decoder is kept smooth by a penalty on its Jacobian.

Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020, https://arxiv.org/abs/1903.12436, Section 3:
a VAE's noise, which smooths its decoder, gives way to an explicit penalty: ||x - D(E(x))||^2 + beta / 2 ||z||^2 +
lambda ||grad_z D(z)||^2 at z = E(x). A mixture of 10 Gaussians, fitted to the codes afterwards, draws new ones
(Section 4). The paper that the suite compares with, GLDO, cites it without a result, so networks, initial weights and
batch (64, the release's is 100) are GLDO's, as for the other autoencoders here. Code length, rate and weights are those
of the authors' release (ParthaEth/Regularized_autoencoders-RAE-), by the kind of data.

What differs, and why:

- The release does not compute the paper's penalty but the mean squared entry of grad_z sum_p D_p(z)^2: one number per
  code, cheap, but blind to any change of the image that keeps its norm. ``gp_mode`` chooses; the default is the
  paper's, the squared Frobenius norm of the Jacobian J, estimated without bias by ||J^T v||^2 with a random sign v for
  every output (Hutchinson), which is one more backward pass.
- All terms are in the release's units, where its weights hold: the squared error is summed over channels and averaged
  over pixels, and z^2 is averaged over the code. The paper prints no weights for its form, so the release's serve it,
  too. They are small: on 32-pixel digits, d = 16, the paper's penalty was 0.2 % of the error and the release's 0.04 %.
  On CIFAR-10 the release sets lambda to 0.
- Its halving of the rate when a validation loss stalls is left out, as no method here has a validation set.
- The decoder's batch normalisation runs on batch statistics in training, as in the release, so that an image depends on
  all codes of its batch: both penalties then count each code's effect on the whole batch, not on its own image alone.
"""

from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from latent_ot.config import Trained
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.infogan import Encoder, Generator, init_normal
from latent_ot.ranks import mean
from latent_ot.stage import Batch


class Defaults(NamedTuple):
    """The release's settings for one kind of data."""

    latent_dim: int
    lr: float
    code_weight: float
    gp_weight: float


GREY = Defaults(16, 5e-4, 1e-4, 0.5e-7)  # MNIST
SMALL = Defaults(128, 5e-4, 9e-4, 0.0)  # CIFAR-10
LARGE = Defaults(64, 1e-3, 1e-4, 1e-7)  # CelebA


def defaults(shape: tuple[int, int, int]) -> Defaults:
    """Return the release's settings for images (C, H, W): one channel, colour up to 32 pixels, larger colour."""
    if shape[0] == 1:
        return GREY
    return SMALL if shape[1] <= 32 else LARGE


class RaeGpConfig(Trained):
    """Settings of RAE-GP; none stands for the release's value for the kind of data."""

    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1 (RAE's release: 100)")
    latent_dim: int | None = Field(
        None, ge=1, description="code length; none: 16 for one channel, 128 for colour up to 32 px, else 64; release"
    )
    lr: float | None = Field(None, gt=0, description="Adam; none: 5e-4, but 1e-3 for colour above 32 px; release")
    init_std: float = Field(0.01, gt=0, description="standard deviation of initial weights; GLDO, Section 4.1")
    code_weight: float | None = Field(
        None, ge=0, description="beta, on the mean of z^2; none: 1e-4, but 9e-4 for colour up to 32 px; release"
    )
    gp_weight: float | None = Field(
        None, ge=0, description="lambda; none: 0.5e-7 for one channel, 0 for colour up to 32 px, else 1e-7; release"
    )
    gp_mode: Literal["jacobian_hutchinson", "squared_output"] = Field(
        "jacobian_hutchinson", description="penalty: ||J||_F^2 (RAE, Section 3) or the release's gradient of ||D(z)||^2"
    )


def jacobian_penalty(image: Tensor, z: Tensor, v: Tensor) -> Tensor:
    """Return ||J^T v||^2 of each code, (n,), whose mean over random signs or normal v is ||J||_F^2.

    ``image`` = D(z) with its graph, ``v`` of the same shape, (n, ...); ``z``: (n, d).
    """
    (gradient,) = torch.autograd.grad(image, z, v, create_graph=True)
    return gradient.square().sum(dim=1)


def squared_output_penalty(image: Tensor, z: Tensor) -> Tensor:
    """Return the mean over j of (d ||D(z)||^2 / dz_j)^2 of each code, (n,); arguments as above."""
    (gradient,) = torch.autograd.grad(image.square().sum(), z, create_graph=True)
    return gradient.square().mean(dim=1)


class RaeGp(Method):
    """Deterministic encoder E and decoder D."""

    version = 2
    Config = RaeGpConfig
    makes_images = ("autoencoder",)
    role = "representation"
    replayable = True
    default_sampler = "gmm"
    config: RaeGpConfig
    share: Tensor

    def __init__(self, config: RaeGpConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "rae_gp")
        chosen = {name: getattr(config, name) for name in Defaults._fields}
        self.settings = defaults(shape)._replace(**{k: v for k, v in chosen.items() if v is not None})
        self.latent_dim = self.settings.latent_dim
        self.encoder = init_normal(Encoder(shape, self.latent_dim, spec.width), config.init_std)
        self.decoder = init_normal(Generator(self.latent_dim, shape, spec.width), config.init_std)
        self.register_buffer("share", torch.zeros(()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks."""
        return torch.optim.Adam(self.parameters(), lr=self.settings.lr, fused=True)

    def penalty(self, image: Tensor, z: Tensor) -> Tensor:
        """Return the chosen penalty's mean over a batch of codes (n, d) and their decoded images; differentiable."""
        if self.config.gp_mode == "squared_output":
            return squared_output_penalty(image, z).mean()
        shape = image.shape[1:]
        signs = self.draw(len(image), lambda n, g: torch.randint(0, 2, (n, *shape), generator=g)).to(image) * 2 - 1
        return jacobian_penalty(image, z, signs).mean()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step on error, size of the codes and penalty, whose gradient reaches the encoder through z."""
        z = self.encoder(batch.image)
        image = self.decoder(z)
        error = image.shape[1] * mse_loss(image, batch.image)  # a sum over channels
        loss = error + self.settings.code_weight * z.square().mean()
        if self.settings.gp_weight:
            smoothness = self.settings.gp_weight * self.penalty(image, z)
            loss = loss + smoothness
            with torch.no_grad():
                self.share.lerp_((mean(smoothness) / mean(loss)).to(self.share), 0.05 if self.step else 1.0)
        optimizer: Any = self.optimizers()
        self.descend(loss, autoencoder=optimizer)
        self.observe(loss=loss, error=error, penalty_share=self.share)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes E(x) (n, d)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return images D(z)."""
        return self.decoder(z)

    def facts(self) -> dict[str, float]:
        """Return the penalty's weight and its share of the loss (mean over the last steps)."""
        return {"gp_weight": self.settings.gp_weight, "gp_share": self.share.item()}
