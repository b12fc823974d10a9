"""What every latent sampler promises: fitted to codes after the representation is trained, then draws new codes."""

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.stage import Spec, Stage


class LatentSampler(Stage):
    """A stage that is trained on codes (N, d). Built as ``LatentSampler(config, spec)`` with ``spec.shape == (d,)``.

    A closed-form sampler (``closed_form = True``) writes ``_fit(codes)``. One that learns by steps writes
    ``training_step`` (its batches hold codes) and may override ``_fit`` to prepare buffers from the codes before the
    first step. State lives in buffers and parameters of fixed shape, so that ``state_dict`` is all there is to store.

    A sampler that moves points of a source measure (``maps = True``) writes ``source`` and ``transport``, so that one
    can walk between source points; any other writes ``_sample``.
    """

    closed_form: ClassVar[bool] = True
    maps: ClassVar[bool] = False
    fitted: Tensor

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
        self._fit(codes)
        if self.closed_form:
            self.fitted.fill_(True)

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
        self.require_fitted()
        return self._sample(n, generator)

    def require_fitted(self) -> None:
        """Refuse to go on before the sampler is fitted.

        Raises:
            InputError: then.
        """
        if not bool(self.fitted):
            raise InputError(f"sampler '{type(self).__module__.split('.')[-1]}' draws nothing before it is fitted")

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw points (n, k) of the source measure, for a sampler that ``maps``."""
        raise TypeError(f"{type(self).__name__} must define source")

    def transport(self, w: Tensor) -> Tensor:
        """Map source points (n, k) to codes (n, d), the same points always to the same codes."""
        raise TypeError(f"{type(self).__name__} must define transport")

    def picture(self, path: Path, seed: int) -> None:
        """Draw what the fitted sampler does to the plane, for 2-D codes; nothing unless a sampler has a picture."""

    def _sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.transport(self.source(n, generator))
