"""Evaluators: frozen feature networks with a name and a checksum, through which images are compared."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from latent_ot.discovery import broken
from latent_ot.errors import InputError

if TYPE_CHECKING:  # listing evaluators needs no torch
    import torch
    from torch import Tensor

WEIGHTS = Path(__file__).parent / "weights"


class Evaluator(ABC):
    """A frozen network from uint8 images to features and class logits; the same numbers for any batch size.

    One subclass in each file, built as ``Evaluator(name, weights, device)`` with one of its ``names`` and, where the
    user has one, a file of weights. ``checksum``: sha256 of the weights file, in hex; it is part of the protocol, so
    that scores from different weights never share a column. ``device``: where the network runs.
    """

    version: ClassVar[int]
    """Raised when the same weights give other numbers."""
    names: ClassVar[tuple[str, ...]]
    classes: ClassVar[bool] = True
    """Whether its logits tell classes apart; without, they are (N, 0), and figures that ask for them say why not."""
    chunk = 250  # images pushed through the network at once

    def __init__(self, name: str, checksum: str, device: "torch.device | str" = "cpu") -> None:
        import torch

        self.name = name
        self.checksum = checksum
        self.device = torch.device(device)

    @classmethod
    def resize(cls, name: str) -> str | None:
        """Return in words how images are brought to the network's size, where a protocol says so."""
        return None

    @classmethod
    def lacks(cls, name: str) -> str | None:
        """Return in a line what of it is not on this machine, and how it gets there; None if all is. Loads nothing."""
        return None

    def __call__(self, images: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return features (N, D) and logits (N, K), float32 on ``device``, of uint8 images (N, C, H, W), C = 1 or 3.

        A network of colour sees a grey image in all three channels.

        Raises:
            InputError: if the images are not a non-empty uint8 tensor of that shape.
        """
        import torch

        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
            found = f"{images.dtype} {tuple(images.shape)}"
            raise InputError(f"evaluator '{self.name}' got {found}; allowed: torch.uint8 (N, 1 or 3, H, W) with N >= 1")
        with torch.no_grad():
            pairs = [
                self._looked_at(self.forward(chunk.to(self.device)), len(chunk)) for chunk in images.split(self.chunk)
            ]
        return torch.cat([p[0].float() for p in pairs]), torch.cat([p[1].float() for p in pairs])

    def _looked_at(self, made: "tuple[Tensor, Tensor]", n: int) -> "tuple[Tensor, Tensor]":
        """Return what the network made of n images. Raises ContractError for anything but its features and logits."""
        import torch

        wide = "K" if self.classes else "0"
        rule = f"allowed: two tensors, features ({n}, D) and logits ({n}, {wide}), of finite numbers"
        if not (isinstance(made, tuple) and len(made) == 2 and all(isinstance(part, torch.Tensor) for part in made)):
            raise broken(type(self), f"forward returns {type(made).__name__}; {rule}")
        for part, some in zip(made, (True, self.classes), strict=True):
            if part.ndim != 2 or len(part) != n or bool(part.shape[1]) != some:
                raise broken(type(self), f"forward returns {tuple(part.shape)}; {rule}")
            if not part.is_floating_point() or not part.isfinite().all():
                raise broken(type(self), f"forward returns {part.dtype}, or values that are not finite; {rule}")
        return made

    @abstractmethod
    def forward(self, images: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return features (n, D) and logits (n, K) of one chunk of uint8 images on ``device``."""
