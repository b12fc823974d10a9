"""GLO: a learned code on the unit sphere for every training image, and the generator that decodes them.

Bojanowski, Joulin, Lopez-Paz and Szlam, "Optimizing the Latent Space of Generative Networks", ICML 2018,
https://arxiv.org/abs/1707.05776, as "Optimizing Latent Distributions for Non-Adversarial Generative Networks" (GLDO)
runs it: codes and generator descend the reconstruction loss together (its Eq. 2) and codes return to the sphere after
each step. There is no encoder; unseen images are reconstructed by a search over codes.

What differs, and why:
- The GLDO paper gives no decay of the step sizes at 32 pixels. Both are halved every 20 epochs, as the public code of
  GLANN does, which is GLO with another sampler. Epochs, not shares of the budget: ten halvings squeezed into 20 epochs
  leave both unfinished (held-out reconstructions of mnist5k lose 6 dB).
- Adam moves a coordinate by no more than its step size at each update of its row, so that in a short training the
  paper's step size for codes leaves them at their random start, and samples are overlaid halves of images.
  ``code_step`` states the rule that lets codes travel about their own length.
- The regularisers of the GLDO paper's Section 4.9.2 leave their weights open: ``weight_decay``, ``code_l1`` and
  ``spectral`` have ours, as has the perceptual loss, to which the paper adds "a weighted squared loss".
- Batch normalisation is in training mode while training, as in the paper: through the batch's statistics one code's
  gradient has small terms of the other images of its batch.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from latent_ot.config import Config
from latent_ot.losses.laplacian import lap1
from latent_ot.losses.perceptual import Maps, backbone, backbone_parts, perceptual
from latent_ot.methods._codes import CodeTable
from latent_ot.methods._inversion import invert
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.infogan import Generator, init_normal
from latent_ot.samplers.base import spread
from latent_ot.seeding import generator
from latent_ot.stage import Batch, as_float

PCA_IMAGES = 24_576  # two 64-pixel colour images' worth of values, as a public re-implementation of GLO fits it to


class GloConfig(Config):
    """Settings of GLO. The ICML paper's own: optim=sgd, lr=1, lr_z=10, batch_size=128, projection=ball, loss=lap1."""

    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1 (128 pixels: 256)")
    loss: Literal["l2", "lap1", "lap1+l2", "perceptual+l2"] = Field(
        "l2", description="of an image: mean squared error, Lap1 of the ICML paper, or with the squared error added"
    )
    backbone: str = Field("mnist", description="of the perceptual loss: vgg16, or a small classifier; silent in GLDO")
    start: Literal["normal", "pca"] = Field(
        "normal", description="of codes: N(0, I), or the images' principal components; GLDO, Section 3.3"
    )
    weight_decay: float = Field(0.0, ge=0, description="weight of the generator's squared weights; GLDO, 4.9.2")
    code_l1: float = Field(0.0, ge=0, description="weight of mean_i ||z_i||_1; GLDO, Section 4.9.2")
    spectral: bool = Field(False, description="whether transposed convolutions are spectrally normalised; GLDO, 4.9.2")
    projection: Literal["sphere", "ball", "none"] = Field(
        "sphere", description="of codes after a step; GLDO, Section 3.3"
    )
    optim: Literal["adam", "sgd"] = Field("adam", description="of generator and codes; GLDO, Section 4.1")
    lr: float = Field(1e-3, gt=0, description="step size, generator; GLDO, Section 4.1 (128 pixels: 0.005)")
    lr_z: float = Field(3e-3, gt=0, description="step size, codes; GLDO, Section 4.1 (128 pixels: 0.05)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam; the GLDO paper is silent, GLANN's code has 0.5")
    halve_every: float = Field(
        20, gt=0, description="epochs after which both step sizes are halved; GLANN's code, MNIST"
    )
    travel: float | None = Field(
        1.0,
        gt=0,
        description="how far a short training should move a code, in lengths of its start; none: lr_z as it is",
    )
    paper_epochs: int = Field(
        200, ge=1, description="from here on lr_z is the paper's; epochs of GLANN's code on MNIST"
    )
    init_std: float = Field(
        0.01, gt=0, description="initial weights N(0; 0.01), read as a standard deviation; GLDO 4.1"
    )


def code_step(config: GloConfig, spec: Spec, scale: float) -> float:
    """Return the step size for codes whose coordinates start with the root mean square ``scale``.

    It is the paper's where the budget has the paper's number of epochs. In a shorter one it is raised until codes end
    about ``travel`` times their length from their start: Adam moves a coordinate by about its step size at each of the
    row's updates, whose signs come out nearly independent, so that steps add up like those of a random walk.
    """
    if config.optim == "sgd" or config.travel is None or spec.epochs >= config.paper_epochs:
        return config.lr_z
    halvings, rest = divmod(spec.epochs, config.halve_every)
    squares = config.halve_every * (1 - 0.25**halvings) / 0.75 + rest * 0.25**halvings  # of the decay, over all epochs
    return max(config.lr_z, config.travel * scale / max(1.0, squares) ** 0.5)


def principal_components(x: Tensor, d: int) -> Tensor:
    """Return the scores (N, d) of rows (N, D) on their first d principal components, fitted to as many as 24,576."""
    mean = x.mean(dim=0)
    few = x[torch.linspace(0, len(x) - 1, min(len(x), PCA_IMAGES)).long()] - mean
    axes = torch.linalg.eigh(few.T @ few).eigenvectors.flip(1)[:, :d]
    return (x - mean) @ axes


class Glo(Method):
    """Generator G and the table of codes Z (N, d)."""

    version = 2
    Config: ClassVar[type[GloConfig]] = GloConfig
    role = "representation"
    declines = {"encode": "an auto-decoder has no encoder; it reconstructs by a search over codes"}
    config: GloConfig
    trail: Tensor

    def __init__(self, config: GloConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, type(self).__name__.lower())
        self.latent_dim = config.latent_dim
        self.G = init_normal(Generator(config.latent_dim, shape, spec.width), config.init_std)
        for layer in [m for m in self.G.modules() if config.spectral and isinstance(m, nn.ConvTranspose2d)]:
            spectral_norm(layer)
        start = self.first_codes()
        self.Z = CodeTable(start, betas=(config.beta1, 0.999))
        self.lr_z = code_step(config, spec, scale=float(start.square().mean().sqrt()))
        self.register_buffer("trail", torch.zeros(2))  # mean squared error and code gradient of the last steps
        tables = [f"Z.{name}" for name, _ in self.Z.named_buffers()]
        self._ddp_params_and_buffers_to_ignore = tables  # every process takes the same steps: nothing to broadcast

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The small classifier nearest to the images: of digits for grey ones, of objects for colour."""
        return {"backbone": "mnist" if shape[0] == 1 else "cifar10"}

    @classmethod
    def frozen_parts(cls, config: GloConfig) -> dict[str, int | str]:
        """The network of the perceptual loss, if there is one."""
        return backbone_parts(config.backbone) if "perceptual" in config.loss else {}

    def first_codes(self) -> Tensor:
        """Return random initial codes (N, d): N(0, I), projected."""
        noise = torch.randn(self.spec.count, self.latent_dim, generator=generator(self.spec.seed, "codes"))
        return self.project(noise)

    def prepare(self, examples: Callable[[], Tensor]) -> None:
        """Start from the images' principal components, of one common scale like that of N(0, I), if so set."""
        if self.config.start == "pca":
            scores = principal_components(as_float(examples()).flatten(1), self.latent_dim)
            self.Z.codes.copy_(self.project(scores / scores.square().mean().sqrt()))

    def project(self, z: Tensor) -> Tensor:
        """Return the nearest codes on the unit sphere (in the unit ball, or the codes as they are)."""
        if self.config.projection == "sphere":
            return F.normalize(z, dim=1)
        return z / z.norm(dim=1, keepdim=True).clamp_min(1) if self.config.projection == "ball" else z

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The generator's; codes have their own."""
        if self.config.optim == "sgd":
            return torch.optim.SGD(self.G.parameters(), lr=self.config.lr)
        return torch.optim.Adam(self.G.parameters(), lr=self.config.lr, betas=(self.config.beta1, 0.999), fused=True)

    @cached_property
    def maps(self) -> Maps:
        """The frozen network of the perceptual loss; no part of the method's state."""
        return backbone(self.config.backbone, self.spec.shape[-1], self.device)

    def image_losses(self, output: Tensor, x: Tensor) -> Tensor:
        """Return L(output_i, x_i), (m,)."""
        terms = self.config.loss.split("+")
        losses = torch.zeros(len(x), device=x.device)
        if "l2" in terms:
            losses = losses + (output - x).square().flatten(1).mean(dim=1)
        if "lap1" in terms:
            losses = losses + lap1(output, x)
        if "perceptual" in terms:
            losses = losses + perceptual(output, x, self.maps)
        return losses

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One descent step of Eq. 2 in generator and codes at once."""
        z = self.Z(batch.index)
        output = self.G(z)
        loss = self.image_losses(output, batch.image).mean()
        self.move_generator(loss)
        self.move_codes(batch, z.grad)
        self.follow(output, batch.image, z.grad)
        self.observe(loss=loss)

    @property
    def decay(self) -> float:
        """The factor on both step sizes in this epoch."""
        epoch = self.step * self.config.batch_size / self.spec.count
        return 0.5 ** int(epoch / self.config.halve_every)

    def move_generator(self, loss: Tensor) -> None:
        """Step the generator down the gradient of ``loss`` and of its own squared weights."""
        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self.config.lr * self.decay
        if self.config.weight_decay:
            loss = loss + self.config.weight_decay * sum(w.square().sum() for w in self.G.parameters())
        self.descend(loss, generator=optimizer)

    def move_codes(self, batch: Batch, gradient: Tensor) -> None:
        """Step the batch's codes down ``gradient`` (m, d), that of the mean loss, and their penalty's; project them."""
        if self.config.code_l1:
            gradient = gradient + self.config.code_l1 * self.Z.codes[batch.index].sign() / len(gradient)
        step = self.Z.step if self.config.optim == "adam" else self.Z.descend
        step(batch.index, gradient, self.lr_z * self.decay, self.project)

    def follow(self, output: Tensor, x: Tensor, gradient: Tensor) -> None:
        """Keep a running mean of the squared error and of the code gradient of an image's own loss."""
        slope = len(x) * gradient.detach()
        now = torch.stack([F.mse_loss(output.detach(), x), slope.norm(dim=1).mean()])
        self.trail.lerp_(now, 0.05 if self.step else 1.0)

    def codes(self, images: Tensor) -> Tensor:
        """Return the learned codes (N, d)."""
        return self.Z.codes

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z)."""
        return self.G(z)

    def infer(self, x: Tensor, start: Tensor, steps: int) -> Tensor:
        """Return the codes that a search from ``start`` finds for images ``x``; GLDO, Section 4.3."""
        return invert(self.decode, x, start, steps, project=self.project)

    def facts(self) -> dict[str, Any]:
        """Return the step size of codes, how far they went, and where training ended.

        ``code_gradient``: mean length of the loss's gradient in the code, per spread of the codes.
        """
        found: dict[str, Any] = {}
        if self.config.start == "normal":
            start = self.first_codes().to(self.device)
            found["code_travel"] = ((self.Z.codes - start).norm(dim=1).mean() / start.norm(dim=1).mean()).item()
        return {
            "lr_z": self.lr_z,
            "updates_per_row": self.Z.updates.double().mean().item(),
            **found,
            "train_mse": self.trail[0].item(),
            "code_gradient": self.trail[1].item() * spread(self.Z.codes),
        }
