"""Plain autoencoder: the representation on which AE-OT and its descendants solve their optimal transport.

"AE-OT-GAN: Training GANs from data specific latent distribution", Section 3.1: encoder f and decoder g minimise
sum_i ||x_i - g(f(x_i))||^2, and the distribution of the codes is left as it falls. The encoder mirrors the decoder. The
mean over batch and pixels stands for the sum: under Adam the two differ only in its epsilon. Code penalty and
decoder-only refinement are the AE-OT release's and off here, since the paper's loss has neither.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from latent_ot.config import Config
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.infogan import Encoder, Generator, init_normal
from latent_ot.stage import Batch

LATENT_DIM = {1: 64, 3: 128}
"""Channels -> code length: 64 for MNIST (AE-OT-GAN, Section 4.1), 128 as its CIFAR-10 and CelebA generators take."""


class AeConfig(Config):
    """Settings of the autoencoder."""

    batch_size: int = Field(64, ge=2, description="images a step; silent in AE-OT-GAN, as in GLDO, Section 4.1")
    latent_dim: int | None = Field(None, ge=1, description="code length; none: 64 for one channel, else 128")
    lr: float = Field(1e-3, gt=0, description="Adam; silent in the paper, and its release's 2e-5 needs 500 epochs")
    init_std: float = Field(0.02, gt=0, description="standard deviation of initial weights; silent in the paper")
    code_l1: float = Field(
        0.0, ge=0, description="weight of mean_i ||z_i||_1; the release's 1e-5, summed over its batch of 512, is 5.1e-3"
    )
    refine: float = Field(
        0.0, ge=0, lt=1, description="last share of the budget that trains the decoder alone; 0.5 in the release"
    )


class Ae(Method):
    """Encoder f and decoder g."""

    Config = AeConfig
    role = "representation"
    default_sampler = "sdot"
    config: AeConfig

    def __init__(self, config: AeConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "ae")
        self.latent_dim = config.latent_dim or LATENT_DIM.get(shape[0], 128)
        self.encoder = init_normal(Encoder(shape, self.latent_dim, spec.width), config.init_std)
        self.decoder = init_normal(Generator(self.latent_dim, shape, spec.width), config.init_std)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks."""
        return torch.optim.Adam(self.parameters(), lr=self.config.lr, fused=True)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step on the reconstruction error, of the decoder alone in the last share of the budget."""
        refining = self.progress >= 1 - self.config.refine
        self.encoder.train(not refining)  # a frozen encoder keeps its normalisation statistics, too
        with torch.set_grad_enabled(not refining):
            z = self.encoder(batch.image)
        error = mse_loss(self.decoder(z), batch.image)
        loss = error + self.config.code_l1 * z.abs().sum(dim=1).mean()
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.update("decoder" if refining else "autoencoder", optimizer)
        self.observe(loss=loss, error=error)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes f(x) (n, d)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return images g(z)."""
        return self.decoder(z)
