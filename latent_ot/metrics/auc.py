"""How often an adversary ranks a real example above a generated one: the area under the curve of its scores.

The area under the receiver operating characteristic is P(s > t) + P(s = t) / 2 for scores s of real and t of generated
examples (Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other",
1947). It depends on their order alone, so logits and the scores of Wasserstein critics compare. 1/2 is chance: where a
GAN ends by theory, and where an adversary stays that took no part.
"""

import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.inputs import rows


def auc(real: Tensor, fake: Tensor) -> float:
    """Return the area, in [0, 1], for scores of real (n,) and of generated (m,) examples; ties count half.

    Its interval is that of DeLong et al. ("Comparing the Areas under two or more Correlated Receiver Operating
    Characteristic Curves", 1988): the influence of an example is the share of others that it ranks above or below.

    Raises:
        InputError: for no score, or one that is not finite.
    """
    s, t = rows(real[:, None], "scores of real", 1).ravel(), rows(fake[:, None], "scores of generated", 1).ravel()
    below, above = _below(s, t), _below(t, s)
    return by_influence(below.sum().item() / (2 * len(s) * len(t)), below / (2 * len(t)), above / (2 * len(s)))


def _below(s: Tensor, t: Tensor) -> Tensor:
    """Return twice how many of t (m,) lie below each of s (n,); ties count half."""
    s, t = s.contiguous(), t.sort().values
    return torch.searchsorted(t, s) + torch.searchsorted(t, s, right=True)


class DiscriminatorAuc(Metric):
    """The area for held-out examples and fresh samples, as a method's adversary scores them."""

    version = 1
    quantities = {"discriminator_auc": {"label": "discriminator's AUC", "direction": "none", "digits": 3}}
    measures = "scores"

    @staticmethod
    def compute(real: Tensor, fake: Tensor) -> dict[str, float]:
        """Return the area."""
        return {"discriminator_auc": auc(real, fake)}
