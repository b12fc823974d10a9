"""Evaluators: frozen feature networks with a name and a checksum, through which images are compared."""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

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
    chunk = 250  # images pushed through the network at once

    def __init__(self, name: str, checksum: str, device: "torch.device | str" = "cpu") -> None:
        import torch

        self.name = name
        self.checksum = checksum
        self.device = torch.device(device)

    def __call__(self, images: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return features (N, D) and logits (N, K), float32 on ``device``, of uint8 images (N, C, H, W), C = 1 or 3.

        Raises:
            InputError: if the images are not a non-empty uint8 tensor of that shape.
        """
        import torch

        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
            found = f"{images.dtype} {tuple(images.shape)}"
            raise InputError(f"evaluator '{self.name}' got {found}; allowed: torch.uint8 (N, 1 or 3, H, W) with N >= 1")
        with torch.no_grad():
            pairs = [self.forward(chunk.to(self.device)) for chunk in images.split(self.chunk)]
        return torch.cat([p[0].float() for p in pairs]), torch.cat([p[1].float() for p in pairs])

    @abstractmethod
    def forward(self, images: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return features (n, D) and logits (n, K) of one chunk of uint8 images on ``device``."""


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
