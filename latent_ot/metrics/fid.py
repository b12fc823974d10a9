"""Fréchet distance between Gaussians fitted to two sets of features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017,
Eq. (6): |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)). With factors S = F^T F the last trace is the sum of the singular
values of F1 F2^T, so no matrix square root is taken, nothing becomes complex and a singular covariance is no special
case.

FID has closed derivatives in the moments of either set, and so an influence of every sample. With the optimal transport
map T of the Gaussian of y to that of x, T = S_x^(1/2) (S_x^(1/2) S_y S_x^(1/2))^(-1/2) S_x^(1/2), the influence of y is
2 (m_y - m_x) . c + c . c - c . T c, where c = y - m_y: the derivative of Tr (S_x S_y)^(1/2) in S_y is T / 2 (Bhatia,
Jain and Lim, "On the Bures-Wasserstein Distance between Positive Definite Matrices", 2019). Where both sets have one
law the first order vanishes, and the error found is too large, by a factor of up to 2^(1/2).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import CHUNK, mean, rows, same_width

EPS = torch.finfo(torch.float64).eps
SMALL = 1e-5  # of the largest singular value; what is below it is rounding by half, and carries no variance to speak of


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


def influences(real: Tensor, fake: Tensor, first: Moments, second: Moments) -> tuple[Tensor, Tensor]:
    """Return the influences (n,), (m,), float64, on FID of real and generated features (n, d), (m, d), by moments.

    ``first``, ``second``: those of the two sets. One eigendecomposition serves both: with F1 F2^T = U S V^T for the
    factors of the covariances, c . T c is the sum over k of (u_k F1 c)^2 / s_k, and the other way round (v_k F2 c)^2.
    """
    product = (first.factor @ second.factor.T).numpy()
    squares, left = torch.linalg.eigh(torch.from_numpy(product @ product.T))
    singular = squares.clamp_min(0).sqrt()
    kept = singular > SMALL * singular[-1]
    left, singular = left[:, kept].T, singular[kept]
    right = left @ torch.from_numpy(product) / singular[:, None]
    gap = second.mean - first.mean
    return (
        _quadratic(real, first.mean, -2 * gap, right @ second.factor / singular[:, None].sqrt()),
        _quadratic(fake, second.mean, 2 * gap, left @ first.factor / singular[:, None].sqrt()),
    )


def _quadratic(x: Tensor, centre: Tensor, slope: Tensor, root: Tensor) -> Tensor:
    """Return slope . c + c . c - |root c|^2 (n,) for c = x - centre."""
    parts = (part.double() - centre for part in x.split(CHUNK))
    return torch.cat([c @ slope + (c**2).sum(dim=1) - ((c @ root.T) ** 2).sum(dim=1) for c in parts])


@lru_cache(maxsize=2)  # FID and its extrapolation ask for the same one
def with_interval(real: FeatureSet, fake: FeatureSet) -> float:
    """Return the FID of two feature sets, each of two samples or more, with the interval of sampling both.

    Raises:
        InputError: see ``fid``.
    """
    first, second = real.once(Moments.of), fake.once(Moments.of)
    return by_influence(fid(first, second), *influences(real.features, fake.features, first, second))


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
        return {"fid": with_interval(real, fake)}
