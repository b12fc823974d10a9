"""GLO: a learned code on the unit sphere for every training image, and the generator that decodes them.

Bojanowski, Joulin, Lopez-Paz and Szlam, "Optimizing the Latent Space of Generative Networks", ICML 2018,
https://arxiv.org/abs/1707.05776, as "Optimizing Latent Distributions for Non-Adversarial Generative Networks" (GLDO)
runs it: codes and generator descend the reconstruction loss together (its Eq. 2) and codes return to the sphere after
each step. There is no encoder; unseen images are reconstructed by a search over codes.

What differs, and why:
- Codes are one parameter under Adam, as in the public code of GLANN, which is GLO with another sampler; this paper's
  code is not public. What a step size then means depends on the number of images: over 200 epochs at 0.003 a coordinate
  travels 0.91 with 60,000 images and 0.32 with 4,000 (``adam_travel``), where codes of GLDO start at scale 1 and those
  of GLO on the sphere at 0.1. ``travel`` asks for a way in lengths of the start instead of a step size.
- The step sizes do not decay at 32 pixels, since the paper names no decay there. GLANN's code halves them
  (``halve_every``) and makes its optimizers anew at each epoch (``new_optimizers``); ``glann`` does.
- The regularisers of the GLDO paper's Section 4.9.2 leave their weights open: ``weight_decay``, ``code_l1`` and
  ``spectral`` have ours, as has the perceptual loss, to which the paper adds "a weighted squared loss".
- Batch normalisation is in training mode while training, as in the paper: through the batch's statistics one code's
  gradient has small terms of the other images of its batch.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from latent_ot.config import Trained
from latent_ot.errors import InputError
from latent_ot.losses.backbones import Maps, backbone, backbone_parts, require_backbone
from latent_ot.losses.laplacian import lap1
from latent_ot.losses.perceptual import perceptual
from latent_ot.methods._codes import CodeTable, adam_travel, table_adam
from latent_ot.methods._inversion import invert
from latent_ot.methods.base import Method, Spec, require_images
from latent_ot.networks.base import Family
from latent_ot.networks.gldo import GldoNetworks
from latent_ot.networks.infogan import InfoganNetworks, init_normal
from latent_ot.ranks import mean, size
from latent_ot.samplers.base import spread
from latent_ot.seeding import generator
from latent_ot.stage import Batch, as_float

BETA2 = 0.999  # of Adam; the GLDO paper is silent
GENERATORS: Mapping[str, type[Family]] = {"infogan": InfoganNetworks, "gldo": GldoNetworks}
THIRD = {"lr": 0.005, "lr_z": 0.05, "halve_every": 10}  # of Table 7's third generator; GLDO, Section 4.5
PCA_IMAGES = 24_576  # two 64-pixel colour images' worth of values, as a public re-implementation of GLO fits it to


class GloConfig(Trained):
    """Settings of GLO. The ICML paper's own: optim=sgd, lr=1, lr_z=10, batch_size=128, projection=ball, loss=lap1."""

    network: Literal["infogan", "gldo"] = Field(
        "infogan", description="generator; GLDO, Table 7: infogan at 32 px and for CelebA-64, gldo for LSUN and 128 px"
    )
    batch_size: int = Field(64, ge=2, description="images a step; GLDO, Section 4.1")
    latent_dim: int = Field(100, ge=1, description="code length d; GLDO, Section 4.1 (128 pixels: 256)")
    loss: Literal["l2", "lap1", "lap1+l2", "perceptual+l2"] = Field(
        "l2", description="of an image: mean squared error, Lap1 of the ICML paper, or with the squared error added"
    )
    backbone: str = Field(
        "imagenet_lite2",
        description="of the perceptual loss: imagenet_lite2, vgg16, a small classifier; GLDO is silent (GLANN: vgg16)",
    )
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
    halve_every: float | None = Field(
        None, gt=0, description="epochs after which both step sizes are halved; none: never, GLDO 4.1 (128 pixels: 10)"
    )
    new_optimizers: bool = Field(False, description="whether each epoch begins with new optimizers, as in GLANN's code")
    travel: float | None = Field(
        None,
        gt=0,
        description="how far codes go from their start by Adam on random gradients, in lengths of it; none: by lr_z",
    )
    init_std: float = Field(
        0.01, gt=0, description="initial weights N(0; 0.01), read as a standard deviation; GLDO 4.1"
    )


def predicted_travel(config: GloConfig, spec: Spec) -> float:
    """Return how far Adam takes a coordinate on random gradients in the whole budget, in units of its step size."""
    steps, betas = max(1.0, spec.count / config.batch_size), (config.beta1, BETA2)
    return adam_travel(spec.epochs, steps, betas, lambda epoch: decay(config, epoch), config.new_optimizers)


def decay(config: GloConfig, epoch: float) -> float:
    """Return the factor on both step sizes in an epoch, counted from 0."""
    return 1.0 if config.halve_every is None else 0.5 ** int(epoch / config.halve_every)


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
    replayable = True
    per_image = frozenset({"Z"})
    declines = {"encode": "an auto-decoder has no encoder; it reconstructs by a search over codes"}
    config: GloConfig
    trail: Tensor
    visits: Tensor

    def __init__(self, config: GloConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        shape = require_images(spec, type(self).__name__.lower())
        self.latent_dim = config.latent_dim
        family = GENERATORS[config.network]
        self.data_range = family.data_range
        self.G = init_normal(family.generator(config.latent_dim, shape, spec.width), config.init_std)
        for layer in [m for m in self.G.modules() if config.spectral and isinstance(m, nn.ConvTranspose2d)]:
            spectral_norm(layer)
        start = self.first_codes()
        self.Z = CodeTable(start)
        self.scale = float(start.square().mean().sqrt())
        self.lr_z = config.lr_z
        if config.travel is not None:
            if config.optim != "adam":
                raise InputError(f"glo: setting 'travel' = {config.travel} with optim '{config.optim}'; allowed: none")
            self.lr_z = config.travel * self.scale / predicted_travel(config, spec)
        self.register_buffer("trail", torch.zeros(2))  # mean squared error and code gradient of the last steps
        self.register_buffer("visits", torch.zeros((), dtype=torch.int64))  # of all rows together

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Those of Section 4.5: at 128 pixels the third generator of Table 7, and its rates wherever it is chosen."""
        large = {"network": "gldo", "latent_dim": 256} if shape[-1] == 128 else {}
        return {**large, **(THIRD if {**large, **chosen}.get("network") == "gldo" else {})}

    @classmethod
    def frozen_parts(cls, config: GloConfig) -> dict[str, int | str]:
        """The network of the perceptual loss, if there is one."""
        return backbone_parts(config.backbone) if "perceptual" in config.loss else {}

    @classmethod
    def require(cls, config: GloConfig) -> None:
        """The weights of that network."""
        if "perceptual" in config.loss:
            require_backbone(config.backbone)

    def first_codes(self) -> Tensor:
        """Return random initial codes (N, d): N(0, I), projected."""
        noise = torch.randn(self.spec.count, self.latent_dim, generator=generator(self.spec.seed, "codes"))
        return self.project(noise)

    def prepare(self, examples: Callable[[], Tensor]) -> None:
        """Start from the images' principal components, of one common scale like that of N(0, I), if so set."""
        if self.config.start == "pca":
            scores = principal_components(as_float(examples()).flatten(1), self.latent_dim)
            self.Z.codes.data.copy_(self.project(scores / scores.square().mean().sqrt()))

    def project(self, z: Tensor) -> Tensor:
        """Return the nearest codes on the unit sphere (in the unit ball, or the codes as they are)."""
        if self.config.projection == "sphere":
            return F.normalize(z, dim=1)
        return z / z.norm(dim=1, keepdim=True).clamp_min(1) if self.config.projection == "ball" else z

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The generator's and the codes', of one kind."""
        weights, lr = self.G.parameters(), self.config.lr
        if self.config.optim == "sgd":
            return [torch.optim.SGD(weights, lr=lr), torch.optim.SGD([self.Z.codes], lr=self.lr_z)]
        betas = (self.config.beta1, BETA2)
        of_generator = torch.optim.Adam(weights, lr=lr, betas=betas, fused=True)
        return [of_generator, table_adam(self.Z, self.lr_z, betas)]

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
        output = self.decode(z)
        loss = self.image_losses(output, batch.image).mean()
        self.move_generator(loss)
        self.move_codes(batch, z.grad)
        self.follow(output, batch.image, z.grad)
        self.observe(loss=loss)

    @property
    def epoch(self) -> float:
        """How often the steps so far drew each image."""
        return self.step * self.config.batch_size / self.spec.count

    @property
    def phase(self) -> Hashable:
        """Each epoch is one, if it begins with new optimizers."""
        return int(self.epoch) if self.config.new_optimizers else ()

    def set_rates(self) -> None:
        """Set both step sizes for this epoch; begin it with new optimizers, if so set."""
        optimizers: Any = self.optimizers()
        begun = int(self.epoch) > int((self.step - 1) * self.config.batch_size / self.spec.count)
        for optimizer, lr in zip(optimizers, (self.config.lr, self.lr_z), strict=True):
            if self.config.new_optimizers and begun:
                optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = lr * decay(self.config, self.epoch)

    def move_generator(self, loss: Tensor) -> None:
        """Step the generator down the gradient of ``loss`` and of its own squared weights."""
        if self.config.weight_decay:
            loss = loss + self.config.weight_decay * sum(w.square().sum() for w in self.G.parameters())
        self.descend(loss, generator=cast(Any, self.optimizers())[0])

    def move_codes(self, batch: Batch, gradient: Tensor) -> None:
        """Step all codes, the batch's down ``gradient`` (m, d), that of the mean loss, and their penalty's; project."""
        if self.config.code_l1:
            gradient = gradient + self.config.code_l1 * self.Z.codes.detach()[batch.index].sign() / len(gradient)
        self.visits += size() * len(batch.index)
        self.Z.move(batch.index, gradient, cast(Any, self.optimizers(use_pl_optimizer=False))[1], self.project)

    def follow(self, output: Tensor, x: Tensor, gradient: Tensor) -> None:
        """Keep a running mean of the squared error and of the code gradient of an image's own loss."""
        slope = len(x) * gradient.detach()
        now = torch.stack([F.mse_loss(output.detach(), x), slope.norm(dim=1).mean()])
        self.trail.lerp_(mean(now).to(self.trail), 0.05 if self.step else 1.0)

    def codes(self, images: Tensor) -> Tensor:
        """Return the learned codes (N, d)."""
        return self.Z.codes.detach()

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z), in [0, 1] whatever the generator's own range."""
        return self.to_unit(self.G(z))

    def infer(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Return the codes that a search from ``start`` finds for images ``x``; GLDO, Section 4.3."""
        return invert(self.decode, x, start, steps, unit, self.project)

    def facts(self) -> dict[str, Any]:
        """Return the step size of codes and what set it, how far they should have gone and went, and the end's values.

        Ways are root mean squares over coordinates, in lengths of the start. ``code_gradient``: mean length of the
        loss's gradient in the code, per spread of the codes.
        """
        found: dict[str, Any] = {"lr_z_rule": "lr_z" if self.config.travel is None else "travel", "lr_z": self.lr_z}
        found["visits_per_row"] = self.visits.item() / self.spec.count
        if self.config.optim == "adam":
            found["code_travel_predicted"] = self.lr_z * predicted_travel(self.config, self.spec) / self.scale
        codes = self.codes(self.Z.codes)
        if self.config.start == "normal":
            start = self.first_codes().to(self.device)
            found["code_travel"] = ((codes - start).square().mean() / start.square().mean()).sqrt().item()
        gradient = self.trail[1].item() * spread(codes)
        return {**found, "train_mse": self.trail[0].item(), "code_gradient": gradient}
