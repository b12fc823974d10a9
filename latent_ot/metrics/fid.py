"""Fréchet distance between Gaussians fitted to two sets of features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017,
Eq. (6): |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)). With factors S = F^T F the last trace is the sum of the singular
values of F1 F2^T, so no matrix square root is taken, nothing becomes complex and a singular covariance is no special
case.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import CHUNK, mean, rows, same_width

EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Moments:
    """Mean and unbiased covariance (division by n - 1) of a feature set, all that FID needs of it.

    ``mean``: float64 (d,). ``factor``: float64 (r, d), r <= d, with factor^T factor = covariance. ``count``: samples.
    """

    mean: Tensor
    factor: Tensor
    count: int

    @classmethod
    def of(cls, features: Tensor, what: str = "features") -> Self:
        """Fit to features (n, d), n >= 2.

        Raises:
            InputError: not a matrix, too few rows, or values that are not finite.
        """
        features = rows(features, what)
        count = len(features)
        centre = mean(features)
        factor = features.double() - centre if count <= len(centre) else _triangle(features, centre)
        return cls(centre, factor / (count - 1) ** 0.5, count)

    @property
    def covariance(self) -> Tensor:
        """The covariance, float64 (d, d)."""
        return self.factor.T @ self.factor


def _triangle(features: Tensor, centre: Tensor) -> Tensor:
    """Return a factor (d, d) of A^T A for the centred features A (n, d), n > d."""
    covariance = np.zeros((len(centre),) * 2)
    for part in features.split(CHUNK):
        a = (part.double() - centre).numpy()
        covariance += a.T @ a  # NumPy sees the symmetry and does half the work; torch does not
    lower, failed = torch.linalg.cholesky_ex(torch.from_numpy(covariance))
    pivots = lower.diagonal() ** 2
    if not failed and pivots.min() > 1e-10 * pivots.max():
        return lower.T
    # A product A^T A loses the small directions of an ill-conditioned A; orthogonal transformations of A keep them.
    factor = torch.empty(0, len(centre), dtype=torch.float64)
    for part in features.split(CHUNK):
        factor = torch.linalg.qr(torch.cat([factor, part.double() - centre]), mode="r").R
    return factor


def _nuclear_norm(matrix: Tensor) -> Tensor:
    """Return the sum of the singular values of a matrix (r, s)."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares = torch.linalg.eigvalsh(torch.from_numpy(wide.numpy() @ wide.numpy().T))
    if squares[0] > len(squares) * EPS * squares[-1]:
        return squares.sqrt().sum()
    # Squaring buried the small singular values under rounding: three times the cost, but exact to the last digits.
    return torch.linalg.svdvals(wide).sum()


def fid(real: Tensor | Moments, fake: Tensor | Moments) -> float:
    """Return the Fréchet distance (squared, as usual), >= 0, of two feature sets (n, d), (m, d) or their moments.

    Raises:
        InputError: matrices that are not comparable or values that are not finite.
    """
    first = real if isinstance(real, Moments) else Moments.of(real, "real features")
    second = fake if isinstance(fake, Moments) else Moments.of(fake, "generated features")
    same_width(first.mean, second.mean)
    means = ((first.mean - second.mean) ** 2).sum()
    traces = (first.factor**2).sum() + (second.factor**2).sum()
    return max(0.0, float(means + traces - 2 * _nuclear_norm(first.factor @ second.factor.T)))


class Fid(Metric):
    """Fréchet distance, of samples, and of images between codes."""

    version = 1
    quantities = {
        "fid": {"label": "FID", "direction": "down", "digits": 3, "group": "main", "floor": "data.fid"},
        "interp_fid": {"label": "FID between codes", "direction": "down", "digits": 3, "floor": "data.fid"},
    }
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return FID; the evaluation gives images between codes in the place of samples for the other one."""
        return {"fid": fid(real.once(Moments.of), fake.once(Moments.of))}
