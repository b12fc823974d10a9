"""GLDO: GLO whose generator is also made flat around its codes, so that codes between them decode well.

"Optimizing Latent Distributions for Non-Adversarial Generative Networks": Eq. 18 adds to each image's reconstruction
loss the norm of its gradient in the image's own code, and Algorithm 1 lets only the generator descend that norm. Codes
start at N(0, I) and are not projected (Section 3.3). The text has a batch of one, with which the generator's batch
normalisation cannot train; the experiments have 64.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.losses.gradient_penalty import interpolates
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.ranks import gather
from latent_ot.stage import Batch, Spec

# l2: chosen on held-out training digits, benchmarks/sweeps/gldo_eps.json. Others: not swept, that of l2, as both terms
# of Eq. 18 scale alike with the loss. A squared norm scales otherwise: its weight must be given.
EPS = {(loss, "norm"): 0.3 for loss in ("l2", "lap1", "lap1+l2", "perceptual+l2")}


class GldoConfig(GloConfig):
    """Settings of GLDO: those of GLO and the penalty's."""

    projection: Literal["sphere", "ball", "none"] = Field("none", description="codes stay in R^d; Section 3.3")
    penalty: Literal["norm", "squared_norm"] = Field("norm", description="of the code gradient; Eq. 18 has the norm")
    eps: float | None = Field(
        None, ge=0, description="weight of the penalty, never stated; none: by the loss, for norm"
    )
    mix: bool = Field(
        False, description="whether the penalty is taken between two codes and two images at once; Section 4.9.2"
    )


def code_gradients(losses: Tensor, z: Tensor) -> Tensor:
    """Return each image's gradient (m, d) of its own loss, of ``losses`` (m,), in its code, differentiable again."""
    (gradient,) = torch.autograd.grad(losses.sum(), z, create_graph=True)
    return gradient


def gradient_penalty(gradient: Tensor, penalty: Literal["norm", "squared_norm"]) -> Tensor:
    """Return the norms of code gradients (m, d), or their squares, (m,)."""
    square = gradient.square().sum(dim=1)
    return square if penalty == "squared_norm" else (square + 1e-12).sqrt()  # a norm has no gradient at 0


class Gldo(Glo):
    """Generator G and the table of codes Z (N, d), from N(0, I)."""

    version = 2
    Config = GldoConfig
    replayable = True
    config: GldoConfig

    def __init__(self, config: GldoConfig, spec: Spec) -> None:
        if config.eps is None and (config.loss, config.penalty) not in EPS:
            raise InputError(
                f"gldo: setting 'eps' = None with penalty '{config.penalty}'; allowed: a number, at least 0"
            )
        super().__init__(config, spec)
        self.eps = EPS[config.loss, config.penalty] if config.eps is None else config.eps

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: the generator descends losses and penalties, the codes descend the losses alone."""
        z = self.Z(batch.index)
        output = self.decode(z)
        losses = self.image_losses(output, batch.image)
        own = code_gradients(losses, z)
        gradient = self._between(z, batch.image) if self.config.mix else own
        penalties = gradient_penalty(gradient, self.config.penalty)
        self.move_generator((losses + self.eps * penalties).mean())
        mean_gradient = own.detach() / len(losses)
        self.move_codes(batch, mean_gradient)
        self.follow(output, batch.image, mean_gradient)
        self.observe(loss=losses.mean(), penalty=penalties.mean())

    def _between(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the gradients (m, d) at t z_i + (1 - t) z_j of the loss to t x_i + (1 - t) x_j, pairs drawn at random.

        Section 4.9.2 mixes codes alone and names no image for the loss at the mixed code; the same mixture is meant.
        """
        partner = self.draw(len(z), lambda n, g: torch.randperm(n, generator=g))
        t = self.uniform(len(z)).to(z)
        between = torch.lerp(gather(z)[partner], z, t[:, None]).detach().requires_grad_()
        return code_gradients(self.image_losses(self.decode(between), interpolates(x, gather(x)[partner], t)), between)
