"""What the methods of the symmetrised-KL study share: networks, settings, the noise model in a layer of D.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Section 4.2.
Five models differ only in what they train on. Of those with an encoder E, q(z|x) = N(mean, diag std^2), the likelihood
p(x|z) is Gaussian not on pixels but on the second layer of the discriminator D, D_2(x) ~ N(D_2(G(z)), sigma^2 I): a
perceptual loss whose features D goes on learning, and only D's own loss may change D. All numbers of that section are
lost in the text that the suite works from; the defaults are the suite's own and the same for all five.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Trained
from latent_ot.losses.gaussian import bound_terms
from latent_ot.losses.orthogonal import orthogonality
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.families import among, families, networks
from latent_ot.networks.sdkl import Tapped
from latent_ot.ranks import mean

NETWORKS = among("sdkl", "vaegan")


class AdversarialConfig(Trained):
    """Settings of all five models; their roles are those of SDKL, Section 4.2, and their values the suite's."""

    network: Annotated[str, NETWORKS] = Field("sdkl", description="SDKL, Table 1; or the VAE/GAN release's")
    batch_size: int = Field(64, ge=2, description="images a step; SDKL, Algorithm 1 (size not known: the suite's)")
    n_critic: int = Field(
        3, ge=1, description="discriminator steps to a generator step; SDKL, Section 4.2 (more than 1: the suite's)"
    )
    latent_dim: int = Field(128, ge=1, description="code length d; VAE/GAN's release (SDKL's is not known)")
    lr: float = Field(2e-4, gt=0, description="Adam, E and G; SDKL, Section 4.2 (not known: the suite's)")
    lr_d: float = Field(1e-4, gt=0, description="Adam, D; SDKL, Section 4.2 (not known: the suite's)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; SDKL, Section 4.2 (not known: the suite's)")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam; SDKL, Section 4.2 (not known: the suite's)")
    orthogonal: float = Field(
        1e-3, ge=0, description="weight of D's orthogonal regularisation; SDKL, Section 4.2 (not known: the suite's)"
    )


class AdversarialVaeConfig(AdversarialConfig):
    """Settings of the models with an encoder."""

    sigma: float = Field(
        1.0, gt=0, description="of the noise model in D's layer; VAE/GAN, Section 3 (SDKL's is not known)"
    )


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep gradients from a network's parameters; they still pass through to its input."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


class Adversarial(Method):
    """Generator G and discriminator D, with D's logits a = log(p*/p), on the settings of the study."""

    version = 1
    adversary = "D"
    config: AdversarialConfig
    G: nn.Module
    D: Tapped
    mean_discriminator: Tensor

    def __init__(self, config: AdversarialConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, type(self).__module__.rpartition(".")[2])
        self.latent_dim = config.latent_dim
        nets = networks(config.network, config.latent_dim, shape, spec.width)
        self.G, self.D, self.data_range = nets  # type: ignore[assignment]  # their critics are tapped
        self.register_buffer("mean_discriminator", torch.zeros(()))

    def adam(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        """Return an Adam for a network."""
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=True)

    def regularizer(self) -> Tensor:
        """Return what D's loss has beside the discrimination."""
        return self.config.orthogonal * orthogonality(self.D)

    def follow(self, **values: Tensor) -> None:
        """Observe the values, and keep running means of those that have a buffer for it."""
        for name, value in values.items():
            if hasattr(self, f"mean_{name}"):
                kept = self.get_buffer(f"mean_{name}")
                kept.lerp_(mean(value.detach()).to(kept), 0.05 if self.step else 1.0)
        self.observe(**values)

    def facts(self) -> dict[str, float]:
        """Return running means over the last steps: D's loss in nats."""
        return {"discriminator_nats": self.mean_discriminator.item()}


class AdversarialVae(Adversarial):
    """With an encoder E, images x -> mean and log standard deviation of q(z|x)."""

    version = 1
    config: AdversarialVaeConfig
    log_sigma: Tensor
    mean_kl: Tensor

    def __init__(self, config: AdversarialVaeConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.E = families()[config.network].encoder(spec.shape, 2 * config.latent_dim, spec.width)
        self.register_buffer("log_sigma", torch.tensor(math.log(config.sigma)))
        self.register_buffer("mean_kl", torch.zeros(()))

    @property
    def rows_per_step(self) -> int:
        """Algorithm 1 draws images for every discriminator step, and again for the encoder and the generator."""
        return (self.config.n_critic + 1) * self.config.batch_size

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network; E and G have the same settings."""
        c = self.config
        return [self.adam(self.E, c.lr), self.adam(self.G, c.lr), self.adam(self.D, c.lr_d)]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation of q(z|x), both (n, d), of images in the networks' range."""
        mean, log_std = self.E(x).chunk(2, dim=1)
        return mean, log_std

    def vae_terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means of -log p(x|z), z ~ q(z|x), and of KL(q(z|x) || N(0, I)); L_VAE is their sum."""
        noise = self.noise(len(x), self.latent_dim)
        terms = bound_terms(
            self.D.features(x), self.posterior(x), noise, lambda z: self.D.features(self.G(z)), self.log_sigma
        )
        return terms[0].mean(), terms[1].mean()

    def encode(self, x: Tensor) -> Tensor:
        """Return posterior means (n, d)."""
        return self.posterior(self.to_network(x))[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z)."""
        return self.to_unit(self.G(z))

    def facts(self) -> dict[str, float]:
        """Return running means over the last steps: D's loss, and the nats that a code stores of its image."""
        return {**super().facts(), "kl_nats": self.mean_kl.item()}
