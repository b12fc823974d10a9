"""k-means + Gaussian: codes are clustered, and each cluster is drawn from as a Gaussian, as often as it has codes.

Zhang et al., "Optimal Transport Based Generative Autoencoders" (AE-OTtrans, AE-OTgen), 2019, Section 4.1: the yardstick
of its 2-D study, with 8 and 16 clusters. The paper says "a normal distribution"; the authors' public code
(https://github.com/oliverzhang42/Generative-Autoencoders) takes one standard deviation for each coordinate (division by
the number of codes), chooses clusters by their share of the codes, and runs scikit-learn's ``KMeans`` as it came in
2019, hence the ten starts.

What differs, and why: full covariances can be chosen; a cluster's centre is its codes' mean, which k-means only
approaches up to its tolerance, so that the mixture has exactly the mean of the codes and, with full covariances, their
covariance. Scale, degenerate codes and threads are treated as ``gmm`` does; a diagonal covariance is left without
regularisation, since zero is a valid standard deviation.
"""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from latent_ot.samplers.gmm import Gmm, GmmConfig


class KmeansGaussConfig(GmmConfig):
    """Settings of the clusters and their Gaussians."""

    components: int = Field(16, ge=1, description="clusters k; OTgen, Section 4.1, which has 8, too")
    covariance: Literal["diagonal", "full"] = Field("diagonal", description="of a cluster; OTgen's public code")
    starts: int = Field(10, ge=1, description="k-means runs of which the best is kept; OTgen's public code")
    max_iter: int = Field(300, ge=1, description="k-means iterations at most; OTgen's public code")
    tol: float = Field(1e-4, gt=0, description="movement of centres at which k-means stops; OTgen's public code")
    jitter: float = Field(
        1e-6, gt=0, description="added to full covariances' diagonals, as a share of the codes' mean variance; OTgen: 0"
    )


class KmeansGauss(Gmm):
    """A mixture of Gaussians whose components are clusters."""

    version = 1
    Config = KmeansGaussConfig
    config: KmeansGaussConfig

    def _mixture(self, x: np.ndarray, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        from sklearn.cluster import KMeans

        c = self.config
        model = KMeans(k, n_init=c.starts, max_iter=c.max_iter, tol=c.tol, random_state=seed).fit(x)
        self.iterations.fill_(model.n_iter_)
        labels, codes = torch.from_numpy(model.labels_), torch.from_numpy(x)
        clusters = [codes[labels == j] for j in labels.unique()]
        weights = torch.tensor([len(cluster) / len(codes) for cluster in clusters], dtype=codes.dtype)
        means = torch.stack([cluster.mean(dim=0) for cluster in clusters])
        factors = [self._factor(cluster - mean) for cluster, mean in zip(clusters, means, strict=True)]
        return weights, means, torch.stack(factors)

    def _factor(self, centred: Tensor) -> Tensor:
        """Return the lower factor (d, d) of the covariance of centred codes (n, d)."""
        if self.config.covariance == "diagonal":
            return centred.square().mean(dim=0).sqrt().diag()
        covariance = centred.T @ centred / len(centred)
        covariance.diagonal().add_(self.config.jitter)
        return torch.linalg.cholesky(covariance)
