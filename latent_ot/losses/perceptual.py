"""The perceptual loss: how far two images lie apart in the activations of a frozen network.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016,
https://arxiv.org/abs/1603.08155, in the form of GLANN's public code, which the GLDO paper builds on: the mean absolute
difference of pixels plus that of each level's activations. ``backbones.py`` has the networks.
"""

import torch
from torch import Tensor

from latent_ot.losses.backbones import Maps


def perceptual(x: Tensor, y: Tensor, maps: Maps) -> Tensor:
    """Return the perceptual loss of images x and y, both (n, C, H, W) in [0, 1], as (n,)."""
    pairs = zip([x, *maps(x)], [y, *maps(y)], strict=True)
    return torch.stack([(a - b).abs().flatten(1).mean(dim=1) for a, b in pairs]).sum(dim=0)
