"""GMM: a mixture of Gaussians with full covariances, fitted to the codes by expectation maximisation.

Ghosh et al., "From Variational to Deterministic Autoencoders" (RAE), ICLR 2020, https://arxiv.org/abs/1903.12436: what
it calls ex-post density estimation, with 10 components. Their public code fits scikit-learn's ``GaussianMixture`` with
the tolerance and the iterations below, and so does this file.

What differs, and why:
- EM sees the codes shifted to mean 0 and divided by one number, the root mean square of their coordinates' deviations,
  so that its regularisation, which is absolute in scikit-learn, follows the codes' scale. EM itself, k-means start
  included, does not depend on a common scale.
- There are no more components than distinct codes; the rest have weight 0.
- One thread, so that a seed always gives the same mixture.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import derive
from latent_ot.stage import Spec


class GmmConfig(Config):
    """Settings of the mixture."""

    components: int = Field(10, ge=1, description="Gaussians, at most one for each distinct code; RAE, Table 1")
    max_iter: int = Field(2000, ge=1, description="EM iterations at most; RAE's public code")
    tol: float = Field(1e-3, gt=0, description="gain in nats a code at which EM stops; RAE's public code")
    jitter: float = Field(
        1e-6, gt=0, description="added to covariances' diagonals, as a share of the codes' mean variance; RAE: absolute"
    )


class Gmm(LatentSampler):
    """sum_j weights_j N(means_j, factors_j factors_j^T) with lower Cholesky factors.

    The choice of a component is discrete: no source point walks continuously through the mixture, so it does not map.
    """

    version = 1
    Config: ClassVar[type[GmmConfig]] = GmmConfig
    config: GmmConfig
    weights: Tensor
    means: Tensor
    factors: Tensor
    iterations: Tensor

    def __init__(self, config: GmmConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        k = min(config.components, spec.count)
        self.register_buffer("weights", torch.zeros(k))
        self.register_buffer("means", torch.zeros(k, self.dim))
        self.register_buffer("factors", torch.zeros(k, self.dim, self.dim))
        self.register_buffer("iterations", torch.zeros((), dtype=torch.int64))

    @classmethod
    def limits(cls, shape: tuple[int, ...], count: int) -> dict[str, int]:
        """No more components than codes."""
        return {"components": count}

    def _fit(self, codes: Tensor) -> None:
        from threadpoolctl import threadpool_limits

        if not len(codes):
            raise InputError("codes: 0 rows; allowed: 1 or more")
        codes = codes.detach().cpu().double()
        centre = codes.mean(dim=0)
        scale = (codes - centre).square().mean().sqrt()
        x = (codes - centre) / (scale if scale > 0 else 1.0)  # codes all alike have no scale
        k = min(len(self.weights), len(x.unique(dim=0)))
        with threadpool_limits(1):
            weights, means, factors = self._mixture(x.numpy(), k, derive(self.spec.seed, "mixture") % 2**32)
        self.weights.zero_()[: len(weights)] = weights
        self.means.zero_()[: len(weights)] = centre + scale * means
        self.factors.zero_()[: len(weights)] = scale * factors

    def _mixture(self, x: np.ndarray, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights (j,), means (j, d) and lower factors (j, d, d), j <= k, for codes (n, d) of unit scale."""
        from sklearn.mixture import GaussianMixture

        c = self.config
        model = GaussianMixture(k, tol=c.tol, reg_covar=c.jitter, max_iter=c.max_iter, random_state=seed)
        model.fit(x if len(x) > 1 else np.repeat(x, 2, axis=0))  # twice the same code, where one is refused
        self.iterations.fill_(model.n_iter_)
        weights, means, covariances = (torch.from_numpy(a) for a in (model.weights_, model.means_, model.covariances_))
        return weights, means, torch.linalg.cholesky(covariances)

    def _sample(self, n: int, generator: torch.Generator) -> Tensor:
        component = torch.multinomial(self.weights.cpu(), n, replacement=True, generator=generator).to(self.device)
        drawn = torch.randn(n, self.dim, generator=generator).to(self.device)
        for j, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            rows = component == j
            drawn[rows] = mean + drawn[rows] @ factor.T
        return drawn

    def facts(self) -> dict[str, Any]:
        """Return how many components are in use, the lightest one's weight and the iterations that the fit took."""
        used = self.weights[self.weights > 0]
        return {
            "components": len(used),
            "smallest_weight": used.min().item() if len(used) else 0.0,
            "iterations": int(self.iterations),
        }
