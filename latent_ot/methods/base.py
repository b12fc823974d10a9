"""What every method promises: ``Method`` for what trains on images, ``Gan``, ``Pair`` for representation + sampler."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from latent_ot.errors import Declined, InputError
from latent_ot.methods._inversion import invert
from latent_ot.ranks import size
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Batch, Spec, Stage, as_float


def require_images(spec: Spec, name: str) -> tuple[int, int, int]:
    """Return the image shape (C, H, W) that the method called ``name`` is built for.

    Raises:
        Declined: if the training examples are points.
    """
    if len(spec.shape) != 3:
        raise Declined(f"{name} needs images (C, H, W); these examples are points of shape {spec.shape}")
    return spec.shape


def unfit(batch: Any, spec: Spec, rows: int, first: bool) -> str | None:
    """Say what is wrong with a batch of a step that consumes ``rows`` examples, and what is allowed; None if nothing.

    ``first``: look at the pixels, too, for which a GPU would have to be waited for.
    """
    if not isinstance(batch, Batch):
        parts = f" of {', '.join(map(str, batch))}" if isinstance(batch, dict) else ""
        return f"a batch of type {type(batch).__name__}{parts}; allowed: latent_ot.stage.Batch(index, image)"
    index, x = batch
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
        return f"batch.image of type {kind}; allowed: a tensor of floats, images in [0, 1]"
    if x.shape != (rows, *spec.shape):
        return f"batch.image of shape {tuple(x.shape)}; allowed: {(rows, *spec.shape)}, what one step draws"
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.shape != (rows,):
        kind = f"{index.dtype} {tuple(index.shape)}" if isinstance(index, Tensor) else type(index).__name__
        return f"batch.index is {kind}; allowed: torch.int64 {(rows,)}, the rows' places in the training set"
    if first or index.device.type == "cpu":
        low, high = (int(place) for place in index.aminmax())
        if not 0 <= low <= high < spec.count:
            return f"batch.index from {low} to {high}; allowed: 0 to {spec.count - 1}"
    if first and len(spec.shape) == 3 and not 0 <= float(x.min()) <= float(x.max()) <= 1:
        return f"batch.image from {float(x.min()):.4g} to {float(x.max()):.4g}; allowed: images in [0, 1]"
    return None


class Method(Stage):
    """A stage that is trained on images. Built as ``Method(config, spec)``.

    A representation (``role = "representation"``) gives ``codes`` of the training images in training order and
    ``decode``; it generates only with a latent sampler. An end-to-end method samples by itself. All images that go in
    or come out are float32 (n, C, H, W) in [0, 1]; the module maps to its networks' own range itself. Every method
    below is called in eval mode and without gradients unless it says otherwise.
    """

    version = 1
    role: ClassVar[Literal["representation", "end_to_end"]] = "end_to_end"
    default_sampler: ClassVar[str] = "gaussian"
    """The latent sampler that the bare name of a representation stands for."""
    refines: ClassVar[str | None] = None
    """The named pair that the method starts from; it is then built as ``Method(config, spec, pair)``."""
    makes_images: ClassVar[tuple[str, ...]] = ("generator",)
    """Names in ``updates`` of the steps that move the network which makes the images; none where nothing is trained."""
    closed_form: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...]] = ("image",)
    """Kinds of data sets that it can be built for: "image", "points"."""
    adversary: str | None = None
    """The network that learns to tell real examples from generated ones, by name; none: there is no such network."""
    data_range: tuple[float, float] = (0.0, 1.0)
    """Of the images that its networks take and make; their heads say which, and images outside are always [0, 1]."""
    latent_dim: int

    @classmethod
    def batches(cls, config: Any) -> dict[str, int] | None:
        """Its ``batch_size``."""
        rows = getattr(config, "batch_size", None)
        return {"batch_size": rows} if rows else None

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the step to come, once its batch is one that it consumes whole, whoever's trainer and loader it is of.

        Raises:
            InputError: for another batch, with what was found, what is allowed and how to get it.
        """
        wrong = unfit(batch, self.spec, self.rows_per_step // size(), batch_idx == 0)
        if wrong:
            how = f"DataLoader([Batch(i, x) for i, x in enumerate(images)], {self.rows_per_step}, drop_last=True)"
            raise InputError(f"{type(self).__module__.rpartition('.')[2]}: {wrong}; get it by {how}")
        super().on_train_batch_start(batch, batch_idx)

    def to_network(self, x: Tensor) -> Tensor:
        """Map images in [0, 1] to the networks' range; points have none and stay."""
        low, high = self.data_range
        return x if self.data_range == (0.0, 1.0) else low + (high - low) * x

    def to_unit(self, x: Tensor) -> Tensor:
        """Map images in the networks' range to [0, 1]; points have none and stay."""
        low, high = self.data_range
        return x if self.data_range == (0.0, 1.0) else (x - low) / (high - low)

    def fit(self, images: Tensor) -> None:
        """Fit in closed form on all training images (N, C, H, W) in [0, 1]; only where ``closed_form`` is true."""
        raise Declined(f"{type(self).__name__} trains by steps")

    def codes(self, images: Tensor) -> Tensor:
        """Return codes (N, d) of the training images, uint8 (N, C, H, W) or points (N, 2), in training order."""
        return torch.cat([self.encode(as_float(chunk).to(self.device)) for chunk in images.split(500)])

    def code_std(self, images: Tensor) -> Tensor | None:
        """Return standard deviations (N, d) of the posteriors whose means ``codes`` are; None where codes have none."""
        return None

    def encode(self, x: Tensor) -> Tensor:
        """Return codes (n, d) of images (n, C, H, W); auto-decoders and GANs decline and use ``invert``."""
        raise Declined(self.declines.get("encode", f"{type(self).__name__} has no encoder"))

    def decode(self, z: Tensor) -> Tensor:
        """Return images (n, C, H, W) in [0, 1] of codes (n, d). Differentiable in ``z``."""
        raise Declined(self.declines.get("decode", f"{type(self).__name__} has no decoder"))

    def project(self, z: Tensor) -> Tensor:
        """Map any vectors (n, d) onto the set of valid codes (GLO: the unit sphere); the identity unless overridden."""
        return z

    def scores(self, x: Tensor) -> Tensor:
        """Return the adversary's scores (n,) of images (n, C, H, W): the higher, the more it takes them for real.

        Raises:
            Declined: if there is no adversary.
        """
        if self.adversary is None:
            raise Declined("no adversary takes part in the training")
        return self.get_submodule(self.adversary)(self.to_network(x)).flatten()

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (n,), (m,) of held-out images and samples, each as the adversary is shown them in training."""
        return self.scores(real), self.scores(fake)

    def sample_latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes (n, d) from the method's own prior, N(0, I) unless overridden.

        Raises:
            Declined: if the method has no ``latent_dim``, hence no codes.
        """
        if not hasattr(self, "latent_dim"):
            raise Declined(f"{type(self).__name__} has no codes")
        return torch.randn(n, self.latent_dim, generator=generator).to(self.device)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw images (n, C, H, W) in [0, 1].

        Raises:
            Declined: for a bare representation, which needs a latent sampler.
        """
        if self.role == "representation":
            raise Declined(f"{type(self).__name__} is a representation: sample it through a latent sampler")
        return self.decode(self.sample_latent(n, generator))

    @classmethod
    def searches(cls) -> bool:
        """Whether it has no encoder, so that ``infer`` is a search over codes."""
        return "encode" in cls.declines

    def infer(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Return codes (n, d) of unseen images (n, C, H, W).

        ``start``: codes (n, d) where a latent optimisation of ``steps`` Adam steps begins, in units of ``unit``, the
        spread of codes (None: that of ``start``, see ``_inversion.invert``); an encoder ignores all three.
        """
        return self.encode(x)

    def reconstruct(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Reconstruct unseen images (n, C, H, W); see ``infer``."""
        return self.decode(self.infer(x, start, steps, unit))


class Gan(Method):
    """A generator ``G`` of codes from N(0, I), without an encoder: it finds an image's code by a search."""

    version = 1
    declines = {"encode": "a GAN has no encoder; it reconstructs by a search over codes"}
    G: nn.Module

    def decode(self, z: Tensor) -> Tensor:
        """Return images G(z)."""
        return self.to_unit(self.G(z))

    def infer(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Return the codes that a search from ``start`` finds for images ``x``."""
        return invert(self.decode, x, start, steps, unit, self.project)

    def adams(self, *networks: nn.Module) -> list[torch.optim.Optimizer]:
        """Return an Adam for each network, of the settings ``lr``, ``beta1`` and, where there is one, ``beta2``."""
        c: Any = self.config
        betas = (c.beta1, getattr(c, "beta2", 0.999))
        return [torch.optim.Adam(net.parameters(), lr=c.lr, betas=betas, fused=True) for net in networks]


class Pair:
    """A representation with a fitted latent sampler: a complete generative model."""

    def __init__(self, representation: Method, sampler: LatentSampler) -> None:
        self.representation = representation
        self.latent = sampler

    def sample_latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes (n, d) from the latent sampler, mapped onto the representation's set of valid codes."""
        return self.representation.project(self.latent.sample(n, generator))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw images (n, C, H, W) in [0, 1]."""
        return self.representation.decode(self.sample_latent(n, generator))

    def encode(self, x: Tensor) -> Tensor:
        """Return codes (n, d) of images (n, C, H, W)."""
        return self.representation.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return images (n, C, H, W) in [0, 1] of codes (n, d)."""
        return self.representation.decode(z)

    def project(self, z: Tensor) -> Tensor:
        """Map any vectors (n, d) onto the representation's set of valid codes."""
        return self.representation.project(z)

    def searches(self) -> bool:
        """Whether ``infer`` is a search over codes; see ``Method.searches``."""
        return self.representation.searches()

    def infer(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Return codes (n, d) of unseen images (n, C, H, W); see ``Method.infer``."""
        return self.representation.infer(x, start, steps, unit)

    def reconstruct(self, x: Tensor, start: Tensor, steps: int, unit: float | None = None) -> Tensor:
        """Reconstruct unseen images (n, C, H, W); see ``Method.infer``."""
        return self.decode(self.infer(x, start, steps, unit))


__all__ = ["Gan", "Method", "Pair", "Spec", "require_images"]
