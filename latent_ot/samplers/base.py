"""What every latent sampler promises: fitted to codes after the representation is trained, then draws new codes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec, Stage

if TYPE_CHECKING:
    from latent_ot.pictures.plane import Plane


class Frame(nn.Module):
    """Codes less their mean and over one common scale, in which the same step size fits all codes.

    The scale is the root mean square of the deviations' coordinates, or with ``length`` of their lengths. Before it is
    fitted the frame leaves codes as they are. Codes that are all alike are 0 in it, and any point comes back as them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, length: bool = False) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, codes: Tensor) -> None:
        """Take mean and scale of codes (N, d)."""
        codes = codes.double()
        mean = codes.mean(dim=0)
        squares = (codes - mean).square()
        self.mean.copy_(mean)
        self.scale.copy_((squares.sum(dim=1) if self.length else squares).mean().sqrt())

    def forward(self, codes: Tensor) -> Tensor:
        """Return codes (n, d) in the frame."""
        return (codes - self.mean) / self.scale.clamp_min(torch.finfo(torch.float32).tiny)

    def back(self, u: Tensor) -> Tensor:
        """Return the codes (n, d) of points of the frame."""
        return self.mean + self.scale * u


def spread(codes: Tensor) -> float:
    """Return the root mean squared distance of codes (n, d) from their mean; 1 of codes that are all alike.

    It is the unit of every figure in code space: codes times c and a decoder that divides by c are the same model.
    """
    codes = codes.double()
    return (codes - codes.mean(dim=0)).square().sum(dim=1).mean().sqrt().item() or 1.0


class LatentSampler(Stage):
    """A stage that is trained on codes (N, d). Built as ``LatentSampler(config, spec)`` with ``spec.shape == (d,)``.

    A closed-form sampler (``closed_form = True``) writes ``_fit(codes)``. One that learns by steps writes
    ``training_step`` (its batches hold codes) and may override ``_fit`` to prepare buffers from the codes before the
    first step. State lives in buffers and parameters of fixed shape, so that ``state_dict`` is all there is to store.

    A sampler that moves points of a source measure (``maps = True``) writes ``transport``, and ``source`` unless it is
    N(0, I) in ``source_dim`` dimensions, so that one can walk between source points; any other writes ``_sample``.

    A sampler whose paper trains it on draws of the representation's posteriors (``draws = True``) is given their
    standard deviations as ``std``, (N, d): ``fit`` then hands one draw of each to ``_fit``, and a step takes its codes
    from ``drawn``. Codes without a posterior (``std`` None) are taken as they are.
    """

    version = 1
    closed_form: ClassVar[bool] = True
    maps: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    fitted: Tensor
    std: Tensor | None = None

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.dim = spec.shape[0]
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def fit(self, codes: Tensor) -> None:
        """Fit to codes (N, d), or prepare the first training step from them.

        Raises:
            InputError: if a code is not finite.
        """
        bad = int((~torch.isfinite(codes).all(dim=1)).sum())
        if bad:
            raise InputError(f"codes: {bad} of {len(codes)} rows hold NaN or infinity; allowed: finite values")
        if self.std is not None:
            noise = torch.randn(codes.shape, generator=generator(self.spec.seed, "draws")).to(codes)
            codes = codes + self.std.to(codes) * noise
        self._fit(codes)
        if self.closed_form:
            self.fitted.fill_(True)

    def drawn(self, batch: Batch) -> Tensor:
        """Return this step's draws z = mean + std * noise (n, d) of the posteriors that a batch of codes stands for.

        They are a pure function of (seed, step), as all noise of a step. Without posteriors, the codes themselves.
        """
        codes = batch.image.detach()
        if self.std is None:
            return codes
        return codes + self.std[batch.index.to(self.std.device)].to(codes) * self.noise(*codes.shape)

    def prepare(self, examples: Callable[[], Tensor]) -> None:
        """Prepare the first step from the codes."""
        self.fit(examples().to(self.device))

    def _fit(self, codes: Tensor) -> None:
        """Closed-form fit, or preparation of the first step."""

    def on_train_end(self) -> None:
        """A sampler that learns by steps may draw once its training has ended."""
        self.fitted.fill_(True)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes (n, d).

        Raises:
            InputError: before the sampler is fitted.
        """
        if not bool(self.fitted):
            raise InputError(f"sampler '{type(self).__module__.split('.')[-1]}' draws nothing before it is fitted")
        return self._sample(n, generator)

    @property
    def source_dim(self) -> int:
        """Dimensions of the source measure."""
        return self.dim

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw points (n, source_dim) of the source measure, N(0, I) unless overridden."""
        return torch.randn(n, self.source_dim, generator=generator).to(self.device)

    def transport(self, w: Tensor) -> Tensor:
        """Map source points (n, k) to codes (n, d), the same points always to the same codes."""
        raise TypeError(f"{type(self).__name__} must define transport")

    def plane(self, seed: int) -> "Plane | None":
        """Return what the fitted sampler does to 2-D codes, to be drawn; None of others, or where it has no picture."""
        return None

    def _sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.transport(self.source(n, generator))
