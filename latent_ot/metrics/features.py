"""Features of an image set: extracted once, kept in a file, read by every metric."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import Damaged, TooFew
from latent_ot.files import locked, read_arrays, reading, whole
from latent_ot.metrics.evaluators.base import Evaluator

T = TypeVar("T")
K = TypeVar("K", bound="Kept")


@dataclass(frozen=True)
class FeatureSet:
    """What an evaluator says of n images.

    ``features``: float32 (n, d). ``answers``: the logits of its classes, float32 (n, k). Both on the CPU.
    """

    features: Tensor
    answers: Tensor
    _made: dict[Callable[[Tensor], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def logits(self) -> Tensor:
        """The logits (n, k).

        Raises:
            TooFew: for an evaluator that tells no classes apart.
        """
        if not self.answers.shape[1]:
            raise TooFew("the evaluator tells no classes apart")
        return self.answers

    def once(self, make: Callable[[Tensor], T]) -> T:
        """Return ``make(features)``, such as their moments for FID, computed once however often it is asked for."""
        if make not in self._made:
            self._made[make] = make(self.features)
        return self._made[make]

    def save(self, path: Path) -> None:
        """Write to ``path`` (.npz), which appears whole or not at all."""
        with whole(path) as part, part.open("wb") as file:
            np.savez(file, features=self.features.numpy(), logits=self.answers.numpy())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; nothing in the file is executed.

        Raises:
            Damaged: the file is missing or is not such a file.
        """
        what, then = "features and logits of images (.npz)", "delete it: it is made again"
        arrays = read_arrays(path, ("features", "logits"), what, then)
        with reading(path, what, then):
            if any(array.ndim != 2 or array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays):
                raise ValueError("it holds no finite float32 (n, d)")
            if len(arrays[0]) != len(arrays[1]):
                raise ValueError(f"{len(arrays[0])} features and {len(arrays[1])} logits")
            return cls(*map(torch.from_numpy, arrays))


def extract(evaluator: Evaluator, images: Tensor) -> FeatureSet:
    """Return the features of uint8 images (n, c, h, w)."""
    features, logits = evaluator(images)
    return FeatureSet(features.cpu(), logits.cpu())


class Kept(Protocol):
    """What can be written to a file and read from it."""

    def save(self, path: Path) -> None:
        """Write to ``path``."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises Damaged for anything else."""


def cached(path: Path, make: Callable[[], K], kind: type[K]) -> K:
    """Return the ``kind`` of features kept at ``path``, made and kept first if need be; who meets here waits."""
    with locked(path.with_suffix(".lock")):
        try:
            return kind.load(path)
        except Damaged as why:
            if path.exists():
                print(f"{why.problem}: made again", file=sys.stderr)
            found = make()
            found.save(path)
            return found
