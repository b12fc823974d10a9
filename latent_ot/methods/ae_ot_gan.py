"""AE-OT-GAN: an adversary sharpens AE-OT's decoder, while codes of real images hold it to what it could already do.

An, Guo, Zhang, Qi, Lei and Gu, "AE-OT-GAN: Training GANs from Data Specific Latent Distribution", ECCV 2020,
https://arxiv.org/abs/2001.03698, Sections 3.3 and 4: the generator starts as the decoder of an autoencoder whose codes
semi-discrete optimal transport has learned to draw. In every fake batch a quarter are reconstructions g(f(x_i)) and
the rest g(T~(w)); the matching x_i stand in the real batch. Encoder f and transport stay as they are, so that before
the first step the method is ``ae_ot_sd``, draw for draw.

The paper leaves open the batch, the optimizer beside its rate, and whether its squared errors are sums or means: here
64, Adam with DCGAN's betas, and means over elements, without which a weight of 2,000 would stand alone. Its ||Z||_2 is
taken as the mean length of the codes. The T generator steps of one outer step hold the generator to one quarter of its
real images after another, each with fresh w. ``ae_ot_ft`` is the control that the paper lacks: the same training
without the adversarial term, whose distance from ``ae_ot_sd`` is what further steps of the decoder give.
"""

import copy
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from latent_ot.config import Trained
from latent_ot.losses.adversarial import gan_discriminator, gan_generator
from latent_ot.methods.ae import usual_networks
from latent_ot.methods.base import Method, Pair, Spec, require_images
from latent_ot.networks.families import among, networks
from latent_ot.stage import Batch

SCHEDULE = {"mnist": (15, 3), "cifar10": (25, 10), "celeba": (15, 5)}
"""(R, T) of Sections 4.1 and 4.2: generator's rate over discriminator's, generator steps to a discriminator step."""
CRITIC_NORM = {"dcgan": "layer"}
"""Of WGAN-div's standard networks, which Section 4 takes for CelebA: DCGAN's, but not its batch normalisation."""

NETWORKS = among("infogan", "dcgan", "sngan", "sngan_resnet", "wgan_div_resnet", "wgan_qc")


class AeOtGanConfig(Trained):
    """Settings of AE-OT-GAN's last stage; those of the others are ``ae``'s and ``sdot``'s."""

    network: Annotated[str, NETWORKS] = Field(
        "infogan", description="the discriminator; Section 4.1, for MNIST (CIFAR-10: SNGAN's, CelebA: WGAN-div's)"
    )
    batch_size: int = Field(64, ge=8, description="real images, and as many fakes, a discriminator step; silent")
    generated: int = Field(3, ge=1, description="generated images to a reconstructed one; Section 4")
    lr: float = Field(2e-5, gt=0, description="Adam, of the generator; Section 4")
    R: float = Field(15, gt=0, description="the generator's rate over the discriminator's; Sections 4.1, 4.2")
    T: int = Field(3, ge=1, description="generator steps to a discriminator step; Sections 4.1, 4.2")
    beta: float = Field(2000, ge=0, description="of the error of reconstructed images; Section 4")
    alpha: float = Field(0.06, ge=0, description="of the encoder's features but the code; Section 4")
    alpha_last: float = Field(2.0, ge=0, description="times the mean length of codes; Section 4")
    adversarial: float = Field(
        1.0,
        ge=0,
        description="of the adversarial term; Section 3.3; 0: the control, which draws and steps all the same",
    )
    saturating: bool = Field(True, description="whether the generator minimises log(1 - d), as Section 3.3 prints it")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; silent in the paper, DCGAN's")


def held(n: int, config: AeOtGanConfig) -> int:
    """Return how many of n images a generator step reconstructs, beside ``generated`` times as many draws."""
    return -(-n // (1 + config.generated))


class AeOtGan(Method):
    """Generator g, discriminator d, and the frozen encoder f and transport of the pair that they start from."""

    version = 2
    Config = AeOtGanConfig
    adversary: str | None = "d"
    refines = "ae_ot_sd"
    config: AeOtGanConfig
    mean_length: Tensor

    def __init__(self, config: AeOtGanConfig, spec: Spec, pair: Pair) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "ae_ot_gan")
        self.latent_dim, self.data_range = pair.representation.latent_dim, pair.representation.data_range
        self.f = copy.deepcopy(pair.representation.get_submodule("encoder")).requires_grad_(False)
        self.g = copy.deepcopy(pair.representation.get_submodule("decoder"))
        self.transport = pair.latent
        norm = CRITIC_NORM.get(config.network)
        self.d = networks(config.network, self.latent_dim, shape, spec.width, norm).critic
        if not config.adversarial:
            self.adversary = None
        self.train()  # whatever mode the parts came in
        self.register_buffer("mean_length", pair.latent.get_buffer("targets").norm(dim=1).mean().float())

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Networks, R and T are stated for three data sets: grey images, colour ones of 32 pixels, and larger ones."""
        R, steps = SCHEDULE["mnist" if shape[0] == 1 else "cifar10" if shape[-1] <= 32 else "celeba"]
        return {"network": usual_networks(shape), "R": R, "T": steps}

    def train(self, mode: bool = True) -> "AeOtGan":
        """The parts that stay as they are keep their normalisation statistics, too."""
        super().train(mode)
        self.f.eval()
        self.transport.eval()
        return self

    @classmethod
    def batches(cls, config: AeOtGanConfig) -> dict[str, int]:
        """That of the discriminator, and the part of it that the generator reconstructs."""
        return {"batch_size": config.batch_size, "batch_size / (1 + generated)": held(config.batch_size, config)}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network, the discriminator's R times as slow."""
        c = self.config
        rates = ((self.g, c.lr), (self.d, c.lr / c.R))
        return [torch.optim.Adam(net.parameters(), lr=lr, betas=(c.beta1, 0.999), fused=True) for net, lr in rates]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One discriminator step, T generator steps."""
        optimizers: Any = self.optimizers()
        g_optimizer, d_optimizer = optimizers
        c, x = self.config, self.to_network(batch.image)
        parts = x.split(held(len(x), c))  # the first of them are reconstructed for the discriminator
        with self.toggled_optimizer(d_optimizer):
            with torch.no_grad():
                fake = self.g(self._codes(self.f(parts[0]), len(x)))
            real_score, fake_score = self.d(x), self.d(fake)
            d_loss = gan_discriminator(real_score, fake_score)
            self.descend(d_loss, discriminator=d_optimizer)
        with self.toggled_optimizer(g_optimizer):
            for t in range(c.T):
                x_i = parts[t % len(parts)]
                features = self.features(x_i)
                # One forward for both kinds of codes: apart, batch normalisation would tell them apart.
                fake = self.g(self._codes(features[-1], len(x)))
                rebuilt = fake[: len(x_i)]
                image_loss = mse_loss(rebuilt, x_i)
                errors = [mse_loss(a, b) for a, b in zip(self.features(rebuilt), features, strict=True)]
                feature_loss = c.alpha * sum(errors[:-1]) + c.alpha_last / self.mean_length * errors[-1]
                adversarial = gan_generator(self.d(fake), c.saturating)
                g_loss = c.adversarial * adversarial + feature_loss + c.beta * image_loss
                self.descend(g_loss, generator=g_optimizer)
        self.observe(
            discriminator=d_loss,
            generator=adversarial,
            loss_img=image_loss,
            loss_feat=feature_loss,
            d_real=real_score.sigmoid().mean(),
            d_fake=fake_score.sigmoid().mean(),
        )

    def _codes(self, z: Tensor, n: int) -> Tensor:
        """Return ``n`` codes: the given ones, of real images, then draws of the transport."""
        return torch.cat([z, self.draw(n - len(z), self.transport.sample)])

    def features(self, x: Tensor) -> list[Tensor]:
        """Return f_l(x), the encoder's activations (of a residual net: blocks) and last its code, of network images."""
        found = []
        for layer in self.f.children():
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU | nn.ReLU) or any(True for _ in layer.children()):
                found.append(x)
        return [*found, x]

    def encode(self, x: Tensor) -> Tensor:
        """Return codes f(x) (n, d)."""
        return self.f(self.to_network(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return images g(z)."""
        return self.to_unit(self.g(z))

    def sample_latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes (n, d), T~ of uniform points."""
        return self.transport.sample(n, generator)
