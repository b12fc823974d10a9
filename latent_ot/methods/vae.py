"""VAE: an autoencoder whose codes are drawn from a learned posterior and held near N(0, I).

Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114: encoder and decoder
maximise the evidence lower bound E_q[log p(x|z)] - KL(q(z|x) || N(0, I)), with z = mu + sigma * noise. The GLDO paper
compares it with its own method on the same generator and does not say how wide its likelihood is. Here p(x|z) is
N(G(z), gamma^2 I) with one learned gamma (Dai and Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019), which sets
the weight between the two terms by the data instead of by hand.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from latent_ot.config import Trained, added
from latent_ot.losses.gaussian import LOG_GAMMA_MIN, bound_terms
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.families import among, families
from latent_ot.networks.infogan import init_normal
from latent_ot.ranks import mean
from latent_ot.stage import Batch, as_float

NETWORKS = among("infogan", "wae")


class VaeConfig(Trained):
    """Settings of the VAE."""

    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1")
    lr: float = Field(1e-3, gt=0, description="Adam, networks and gamma; GLDO, Section 4.1")
    init_std: float = Field(0.01, gt=0, description="standard deviation of initial weights; GLDO, Section 4.1")
    network: Annotated[str, NETWORKS] = added("infogan", description="GLDO, Table 7; wae: of OTgen, Section 5.2")
    gamma: float | None = Field(None, gt=0, description="fixed standard deviation of the likelihood; none: learned")


class Vae(Method):
    """Encoder x -> (mean, log standard deviation) of z, decoder z -> mean of x, and the scalar gamma."""

    version = 1
    Config = VaeConfig
    makes_images = ("autoencoder",)
    role = "representation"
    replayable = True
    default_sampler = "normal"
    config: VaeConfig
    mean_kl: Tensor

    def __init__(self, config: VaeConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, "vae")
        self.latent_dim = config.latent_dim
        nets, d = families()[config.network], config.latent_dim
        self.data_range = nets.data_range
        self.encoder = init_normal(nets.encoder(shape, 2 * d, spec.width), config.init_std)
        self.decoder = init_normal(nets.generator(d, shape, spec.width), config.init_std)
        start = torch.tensor(config.gamma or 1.0).log()
        self.log_gamma = nn.Parameter(start, requires_grad=config.gamma is None)
        self.register_buffer("mean_kl", torch.zeros(()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for both networks and gamma."""
        return torch.optim.Adam(self.parameters(), lr=self.config.lr, fused=True)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation of q(z|x), both (n, d)."""
        mean, log_std = self.encoder(self.to_network(x)).chunk(2, dim=1)
        return mean, log_std

    def bound(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return -log p(x|z) at z = mean + std * noise and KL(q(z|x) || N(0, I)), both (n,); their sum is -ELBO."""
        return bound_terms(x, self.posterior(x), noise, self.decode, self.log_gamma)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One ascent step on the evidence lower bound."""
        nll, kl = self.bound(batch.image, self.noise(len(batch.image), self.latent_dim))
        loss = (nll + kl).mean()
        optimizer: Any = self.optimizers()
        self.descend(loss, autoencoder=optimizer)
        with torch.no_grad():
            self.log_gamma.clamp_(min=LOG_GAMMA_MIN)
            self.mean_kl.lerp_(mean(kl.mean()).to(self.mean_kl), 0.05 if self.step else 1.0)
        self.observe(loss=loss, kl=kl.mean(), log_gamma=self.log_gamma)

    def code_std(self, images: Tensor) -> Tensor:
        """Return the posteriors' standard deviations (N, d)."""
        chunks = (as_float(chunk).to(self.device) for chunk in images.split(500))
        return torch.cat([self.posterior(x)[1].exp() for x in chunks])

    def encode(self, x: Tensor) -> Tensor:
        """Return posterior means (n, d)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return the means of p(x|z)."""
        return self.to_unit(self.decoder(z))

    def facts(self) -> dict[str, float]:
        """Return nats that a code stores of its image (mean over the last steps' images) and the learned gamma."""
        return {"kl_nats": self.mean_kl.item(), "gamma": self.log_gamma.exp().item()}
