"""How well a model knows one example: its reconstruction error, a score made from it, and a region of highest density.

Section 4 of "iWGAN: an Autoencoder WGAN for Inference": where the density is exp(-||x - G(Q(x))||) up to a factor, the
region of highest density that holds a share 1 - alpha of the data is {x: error <= the (1 - alpha) quantile of errors}.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric

EPS = 1e-12  # under the root, so that the gradient is finite, and 0, where an example is met exactly


def reconstruction_errors(x: Tensor, rebuilt: Tensor) -> Tensor:
    """Return ||x_i - y_i||_2 of each example and its reconstruction, (n, ...) -> (n,), differentiable everywhere.

    Raises:
        InputError: if the shapes differ.
    """
    if x.shape != rebuilt.shape:
        raise InputError(f"reconstructions have shape {tuple(rebuilt.shape)}; allowed: the data's, {tuple(x.shape)}")
    return ((x - rebuilt).flatten(1).square().sum(dim=1) + EPS).sqrt()


def quality_scores(errors: Tensor) -> Tensor:
    """Return exp(-error), (n,) in (0, 1]: Section 5.1. Errors of images grow with their size, and scores shrink."""
    return torch.exp(-errors)


def hdr_threshold(errors: Tensor, level: float) -> float:
    """Return the largest error inside the region of highest density, the (1 - level) quantile of ``errors`` (n,).

    It is one of the errors: the least that has a share of 1 - ``level`` or more of them at or below it.

    Raises:
        InputError: for no errors, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}; allowed: between 0 and 1, e.g. 0.05")
    if not len(errors):
        raise InputError("a region of highest density needs errors of examples; there are none")
    return float(np.quantile(errors.detach().cpu().numpy(), 1 - level, method="inverted_cdf"))


class Region(NamedTuple):
    """A region of highest density, {x: error <= ``threshold``}, set on ``fitted`` examples.

    ``reached``: share of the ``tested`` other examples that lie outside it.
    """

    threshold: float
    fitted: int
    reached: float
    tested: int


def highest_density(errors: Tensor, level: float) -> Region:
    """Return the region that is to hold a share 1 - ``level`` of examples, of errors (n,) in random order.

    The first half sets its border and the rest tests it. They must be errors of examples that the model was not trained
    on: it knows those better than it will know any other, and a border that they set shuts out more than ``level``.

    Raises:
        InputError: for fewer than two errors, or a level outside (0, 1).
    """
    if len(errors) < 2:
        raise InputError(f"{len(errors)} held-out images; allowed: 2 or more, to set a region and to test it")
    fit, test = errors.tensor_split(2)
    threshold = hdr_threshold(fit, level)
    return Region(threshold, len(fit), float((test > threshold).double().mean()), len(test))


class Row(NamedTuple):
    """One image: its file, reconstruction error, exp(-error), and whether the region of highest density holds it."""

    file: str
    error: float
    score: float
    inside: bool


@dataclass(frozen=True)
class Report:
    """The images of a folder, best first, as a method trained on ``dataset`` scores them.

    ``level``: share of images that the ``region`` was to leave outside. ``unreadable``: files that are no images.
    """

    method: str
    dataset: str
    level: float
    region: Region
    images: tuple[Row, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def outliers(self) -> list[str]:
        """Files outside the region of highest density, the worst first."""
        return [row.file for row in reversed(self.images) if not row.inside]

    def data(self) -> dict[str, Any]:
        """Return the report as a program reads it."""
        rows = [row._asdict() for row in self.images]
        return {**asdict(self), "region": self.region._asdict(), "images": rows, "outliers": self.outliers}


class Quality(Metric):
    """Error, score and region of highest density of single images; no record holds them."""

    version = 1
    quantities = {}
    measures = "images"
    compute = staticmethod(quality_scores)
