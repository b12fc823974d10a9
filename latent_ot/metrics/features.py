"""Features of an image set: extracted once, kept in a file, read by every metric."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.files import whole
from latent_ot.metrics.evaluators.base import Evaluator

T = TypeVar("T")


@dataclass(frozen=True)
class FeatureSet:
    """What an evaluator says of n images.

    ``features``: float32 (n, d). ``logits``: float32 (n, k). Both on the CPU.
    """

    features: Tensor
    logits: Tensor
    _made: dict[Callable[[Tensor], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.features)

    def once(self, make: Callable[[Tensor], T]) -> T:
        """Return ``make(features)``, such as their moments for FID, computed once however often it is asked for."""
        if make not in self._made:
            self._made[make] = make(self.features)
        return self._made[make]

    def save(self, path: Path) -> None:
        """Write to ``path`` (.npz), which appears whole or not at all."""
        with whole(path) as part, part.open("wb") as file:
            np.savez(file, features=self.features.numpy(), logits=self.logits.numpy())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; nothing in the file is executed.

        Raises:
            InputError: the file is missing or is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(torch.from_numpy(arrays["features"]), torch.from_numpy(arrays["logits"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "holds no features; delete it"
            raise InputError(f"features: '{path.name}' {reason}") from None


def extract(evaluator: Evaluator, images: Tensor) -> FeatureSet:
    """Return the features of uint8 images (n, c, h, w)."""
    features, logits = evaluator(images)
    return FeatureSet(features.cpu(), logits.cpu())


def cached(path: Path, make: Callable[[], FeatureSet]) -> FeatureSet:
    """Return the features kept at ``path``, made and kept there first if need be; processes that meet here wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            make().save(path)
    return FeatureSet.load(path)
