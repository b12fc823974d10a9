"""Standard normal: draws from the prior N(0, I), whatever the codes; right where training held the codes near it."""

import torch
from torch import Tensor

from latent_ot.samplers.base import LatentSampler


class Normal(LatentSampler):
    """N(0, I) of the codes' dimension."""

    maps = True

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw N(0, I)."""
        return torch.randn(n, self.dim, generator=generator).to(self.device)

    def transport(self, w: Tensor) -> Tensor:
        """Return the points as they are."""
        return w
