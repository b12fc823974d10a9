"""Plain autoencoder: the representation on which AE-OT and its descendants solve their optimal transport.

"AE-OT-GAN: Training GANs from data specific latent distribution", Section 3.1: encoder f and decoder g minimise
sum_i ||x_i - g(f(x_i))||^2, and the distribution of the codes is left as it falls. The encoder mirrors the decoder. The
mean over batch and pixels stands for the sum: under Adam the two differ only in its epsilon. Code penalty and
decoder-only refinement are the AE-OT release's and off here, since the paper's loss has neither.

The autoencoder of "Optimal Transport Based Generative Autoencoders" (AE-OTtrans, AE-OTgen) on MNIST and Fashion-MNIST,
from Section 5.1 and the authors' public code, whose 15,000 steps end where it would halve lr, once, is that of the
named pairs ``ae_ot_kp``, ``ae_ot_trans`` and ``ae_ot_gen``.
"""

from collections.abc import Hashable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from latent_ot.config import Trained
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks import fc
from latent_ot.networks.families import among, autoencoder
from latent_ot.networks.infogan import init_normal
from latent_ot.stage import Batch

LATENT_DIM = {1: 64, 3: 128}
"""Channels -> code length: 64 for MNIST (AE-OT-GAN, Section 4.1), 128 as its CIFAR-10 and CelebA generators take."""

NETWORKS = among("infogan", "dcgan", "sngan", "sngan_resnet", "wgan_div_resnet", "wgan_qc", "wae", "fc")


def usual_networks(shape: tuple[int, ...]) -> str:
    """Return the networks that AE-OT-GAN takes for images (C, H, H), by name; of two the standard ones.

    Section 4: InfoGAN's for MNIST, SNGAN's for CIFAR-10, WGAN-div's for CelebA. At 256 pixels, where its own stand in a
    supplement that is not to be had, WGAN-QC's; where a side is no power of two, InfoGAN's.
    """
    if shape[0] == 1 or shape[-1].bit_count() > 1:
        return "infogan"
    return "sngan" if shape[-1] <= 32 else "dcgan" if shape[-1] < 256 else "wgan_qc"


class AeConfig(Trained):
    """Settings of the autoencoder."""

    network: Annotated[str, NETWORKS] = Field(
        "infogan",
        description="AE-OT-GAN, Section 4.1, for MNIST (Section 4.2: SNGAN's for CIFAR-10, WGAN-div's for CelebA); "
        "fc: fully connected (OTgen, Section 5.1); wae: WAE's (OTgen, Section 5.2, for CelebA)",
    )
    squash: bool = Field(False, description="whether a sigmoid bounds the codes; it does in OTgen's public code")
    batch_size: int = Field(
        64, ge=2, description="images a step; silent in AE-OT-GAN, as in GLDO, Section 4.1 (OTgen, Section 5.1: 128)"
    )
    latent_dim: int | None = Field(
        None, ge=1, description="code length; none: 64 for one channel, else 128 (OTgen, Section 5.1: 8)"
    )
    lr: float = Field(
        1e-3, gt=0, description="Adam; silent in the paper, its release's 2e-5 needs 500 epochs (OTgen's code: 3e-3)"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam; silent in the paper (OTgen's code: 0.5)")
    halve_every: int | None = Field(
        None, ge=1, description="steps after which lr is halved; none: never (OTgen's code: 15,000)"
    )
    init_std: float | None = Field(
        0.02,
        gt=0,
        description="of initial weights; silent in the paper; none, and for other networks than InfoGAN's: "
        "the network's own draws (OTgen's code: PyTorch's)",
    )
    code_l1: float = Field(
        0.0, ge=0, description="weight of mean_i ||z_i||_1; the release's 1e-5, summed over its batch of 512, is 5.1e-3"
    )
    refine: float = Field(
        0.0, ge=0, lt=1, description="last share of the budget that trains the decoder alone; 0.5 in the release"
    )


class Ae(Method):
    """Encoder f and decoder g."""

    version = 1
    Config = AeConfig
    makes_images = ("autoencoder", "decoder")
    role = "representation"
    replayable = True
    default_sampler = "sdot"
    config: AeConfig
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, config: AeConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "ae")
        self.latent_dim = config.latent_dim or LATENT_DIM.get(shape[0], 128)
        d, width = self.latent_dim, spec.width
        if config.network == "fc":
            self.encoder, self.decoder = fc.Encoder(shape, d, width), fc.Decoder(d, shape, width)
        else:
            self.decoder, self.encoder, self.data_range = autoencoder(config.network, d, shape, width)
        for net in (self.encoder, self.decoder):
            if config.init_std is not None:
                init_normal(net, config.init_std)
        if config.squash:
            self.encoder = nn.Sequential(*self.encoder.children(), nn.Sigmoid())

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Networks are the paper's for such images; others than InfoGAN's have initial weights of their own."""
        network = chosen.get("network", usual_networks(shape))
        return {"network": network} | ({"init_std": None} if network != "infogan" else {})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks."""
        betas = (self.config.beta1, 0.999)
        return torch.optim.Adam(self.parameters(), lr=self.config.lr, betas=betas, fused=True)

    def set_rates(self) -> None:
        """Halve the rate every so many steps, if so set."""
        optimizer: Any = self.optimizers()
        if self.config.halve_every is not None:
            optimizer.param_groups[0]["lr"] = self.config.lr * 0.5 ** (self.step // self.config.halve_every)

    @property
    def refining(self) -> bool:
        """Whether the step to come trains the decoder alone."""
        return self.progress >= 1 - self.config.refine

    @property
    def phase(self) -> Hashable:
        """What it trains."""
        return self.refining

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step on the reconstruction error, of the decoder alone in the last share of the budget."""
        x = self.to_network(batch.image)
        refining = self.refining
        self.encoder.train(not refining)  # a frozen encoder keeps its normalisation statistics, too
        with torch.set_grad_enabled(not refining):
            z = self.encoder(x)
        error = mse_loss(self.decoder(z), x)
        loss = error + self.config.code_l1 * z.abs().sum(dim=1).mean()
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.update("decoder" if refining else "autoencoder", optimizer)
        self.observe(loss=loss, error=error)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes f(x) (n, d)."""
        return self.encoder(self.to_network(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return images g(z)."""
        return self.to_unit(self.decoder(z))
