"""CT-GAN: WGAN-GP whose critic also has to answer two looks at a real image alike.

Wei, Gong, Liu, Lu and Wang, "Improving the Improved Training of Wasserstein GANs: A Consistency Term and Its Dual
Effect", ICLR 2018, https://arxiv.org/abs/1803.01541. The gradient penalty seldom looks where the real images lie: the
critic has dropout, scores each real batch twice, and is charged for the difference of the scores and of the features
below them. Dropout stays on in the penalty and in the generator's step, as in the authors' release,
https://github.com/biuyq/CT-GAN; it stands behind the last three activations of a plain critic (InfoGAN's has no more)
and behind the last three blocks of a residual one. All else is WGAN-GP's as it runs here.
AE-OT-GAN lists a "CTGAN" among its rivals and cites the tabular GAN of that name, without a number: this is the one of
images.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.losses.adversarial import wasserstein_critic, wasserstein_generator
from latent_ot.losses.consistency import Pass, consistency
from latent_ot.losses.gradient_penalty import gradient_penalty, interpolates
from latent_ot.methods.base import Spec, require_images
from latent_ot.methods.wgan_gp import WganGp, WganGpConfig
from latent_ot.networks.families import among
from latent_ot.networks.wgan_div_resnet import Residual
from latent_ot.stage import Batch

Rate = Annotated[float, Field(ge=0, lt=1)]

NETWORKS = among("infogan", "dcgan", "sngan_resnet")


class CtganConfig(WganGpConfig):
    """Settings of CT-GAN: WGAN-GP's, and those of the consistency term."""

    network: Annotated[str, NETWORKS] = Field("infogan", description="as WGAN-GP")
    dropout: tuple[Rate, Rate, Rate] = Field((0.5, 0.5, 0.5), description="authors' release (ResNet: 0.2, 0.5, 0.5)")
    consistency: float = Field(2.0, ge=0, description="weight lambda_2 of the consistency term; authors' release")
    feature_weight: float = Field(0.1, ge=0, description="of the features' distance in it; authors' release")
    margin: float = Field(0.0, ge=0, description="M, the difference that is free; authors' release (paper: 0.2)")


def with_dropout(critic: nn.Sequential, rates: Sequence[float]) -> nn.Sequential:
    """Return the layers of ``critic`` with a dropout behind each of the last activations or residual blocks."""
    layers = list(critic)
    stages = [i for i, layer in enumerate(layers) if isinstance(layer, nn.LeakyReLU | Residual)][-len(rates) :]
    for i, rate in zip(reversed(stages), reversed(rates), strict=True):
        layers.insert(i + 1, nn.Dropout(rate))
    return nn.Sequential(*layers)


class Ctgan(WganGp):
    """Generator G and critic f with dropout."""

    version = 1
    Config = CtganConfig  # type: ignore[assignment]  # narrower than WGAN-GP's, as the next line is
    replayable = True
    accepts = ("image",)  # type: ignore[assignment]
    config: CtganConfig
    f: nn.Sequential

    def __init__(self, config: CtganConfig, spec: Spec) -> None:
        require_images(spec, "ctgan")
        super().__init__(config, spec)
        self.f = with_dropout(self.f, config.dropout)

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The ResNet has rates of its own."""
        return {"dropout": (0.2, 0.5, 0.5)} if chosen.get("network") == "sngan_resnet" else {}

    def look(self, x: Tensor) -> Pass:
        """Return scores (n, 1) and features (n, d) of one pass of f over images."""
        features = self.f[:-1](x)
        return self.f[-1](features), features

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """WGAN-GP's Algorithm 1 with the consistency term in the critic's loss."""
        c = self.config
        optimizers: Any = self.optimizers()
        g_optimizer, f_optimizer = optimizers
        with self.toggled_optimizer(f_optimizer):
            for x in self.to_network(batch.image).chunk(c.n_critic):
                with torch.no_grad():
                    fake = self.G(self.noise(len(x), self.latent_dim))
                first, second = self.look(x), self.look(x)
                gap = wasserstein_critic(first[0], self.f(fake))
                t = self.uniform(len(x))
                penalty = gradient_penalty(self.f, interpolates(x, fake, t))
                ct = consistency(first, second, c.consistency, c.feature_weight, c.margin)
                self.descend(gap + c.penalty * penalty + ct, critic=f_optimizer)
        with self.toggled_optimizer(g_optimizer):
            g_loss = wasserstein_generator(self.f(self.G(self.noise(len(x), self.latent_dim))))
            self.descend(g_loss, generator=g_optimizer)
        self.observe(distance=-gap, penalty=penalty, consistency=ct, generator=g_loss)
