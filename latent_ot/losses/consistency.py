"""The consistency term: how far a critic with dropout moves between two passes over the same images.

Wei, Gong, Liu, Lu and Wang, "Improving the Improved Training of Wasserstein GANs: A Consistency Term and Its Dual
Effect", ICLR 2018, https://arxiv.org/abs/1803.01541. Dropout perturbs each real image a little; a critic that is
Lipschitz where the data lie answers both copies nearly alike.
"""

from torch import Tensor

Pass = tuple[Tensor, Tensor]
"""What one pass gives: scores (m,) or (m, 1) and the features (m, d) of the critic's last layer but one."""


def consistency(first: Pass, second: Pass, weight: float = 2.0, features: float = 0.1, margin: float = 0.0) -> Tensor:
    """Return E max(0, weight * ((f' - f'')^2 + features * mean_d (h' - h'')^2) - margin), a scalar.

    Args:
        first: scores f' and features h' of m images.
        second: f'' and h'' of the same images in the same order, with other dropout.
        weight: lambda_2; the authors' release has it inside the maximum.
        features: of the features' distance beside the scores'.
        margin: M, how far the passes may part for nothing.
    """
    (f1, h1), (f2, h2) = first, second
    distance = (f1 - f2).square().flatten() + features * (h1 - h2).square().mean(dim=1)
    return (weight * distance - margin).clamp(min=0).mean()
