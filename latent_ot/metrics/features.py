"""Features of an image set: extracted once, kept in a file, read by every metric."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.metrics.fid import Moments


@dataclass(frozen=True)
class FeatureSet:
    """What an evaluator says of n images.

    ``features``: float32 (n, d). ``logits``: float32 (n, k). Both on the CPU.
    """

    features: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the features, computed once; give them to ``fid``."""
        return Moments.of(self.features)

    def save(self, path: Path) -> None:
        """Write to ``path`` (.npz), which appears whole or not at all."""
        unfinished = path.with_suffix(".partial")
        with unfinished.open("wb") as file:
            np.savez(file, features=self.features.numpy(), logits=self.logits.numpy())
        unfinished.replace(path)

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
