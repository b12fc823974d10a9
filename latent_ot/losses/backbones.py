"""Frozen networks, by name, in whose activations a perceptual loss compares images, and where these are read.

- ``vgg16``: as GLANN's public code reads it, after convolutions 1, 3, 5, 8 and 13, rectified, of receptive fields of 3,
  10, 24, 60 and 196 pixels. Its weights are a file of torchvision's.
- ``imagenet_lite2``: EfficientNet-Lite2 (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
  Networks", ICML 2019, https://arxiv.org/abs/1905.11946, in the variant without squeeze-and-excitation), trained on
  ImageNet. Network and weights come as packages, as for the evaluator of that name. Read where VGG is, by what a value
  sees: after the stem and the expansions of blocks 1, 4, 7 and 15, all behind their ReLU6, receptive fields of 3, 7,
  27, 107 and more than 400 pixels. Images enter at their own size, not enlarged to the 260 pixels of its training, by
  (255 x - 127) / 128, the scaling with which it was trained, and are padded as TensorFlow's "same" does at each size.
- one of the suite's small classifiers, read after its five convolutions. One that scores a run may not train it.

The first two are read at three levels at up to 32 pixels, four at 64 and five above, as in GLANN's code.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latent_ot.errors import Refused, choose
from latent_ot.metrics.evaluators.at_hand import hub
from latent_ot.metrics.evaluators.imagenet import LITES, missing, network
from latent_ot.tensors import fill, read_checkpoint

VGG_FILE = "vgg16-397923af.pth"
VGG_URL = f"https://download.pytorch.org/models/{VGG_FILE}"
VGG_CUTS = (2, 7, 12, 21, 30)  # layers after which GLANN's code reads the activations
LITE2 = "imagenet_lite2"
LITE2_CUTS = (1, 4, 7, 15)  # blocks whose expansions are read; 4, 7 and 15 halve the size next
NEEDS_WEIGHTS = (LITE2, "vgg16")
"""Networks that do not come with the suite."""
Maps = Callable[[Tensor], list[Tensor]]


def backbone_parts(name: str) -> dict[str, int | str]:
    """Return what the network called ``name`` is made of, name -> version or checksum, without loading it.

    Raises:
        InputError: if no network is called so. Weights of ``vgg16`` and ``imagenet_lite2`` need not be here.
    """
    if name == "vgg16":
        return {name: VGG_FILE}  # it states its checksum
    if name == LITE2:
        return {"Lite2": Lite2.version, name: LITES[name].sha256}
    from latent_ot.metrics.evaluators.small import Small, read_card

    return {"Small": Small.version, name: read_card(_small(name))["sha256"][:16]}


def require_backbone(name: str) -> None:
    """See that a network's weights are on this machine.

    Raises:
        Refused: if they are not, with what to do.
    """
    if name == "vgg16" and not _vgg_file().is_file():
        raise Refused(
            f"perceptual backbone 'vgg16': {VGG_FILE} is not in torch's hub folder (TORCH_HOME); fetch it from "
            f"{VGG_URL}, or set backbone to imagenet_lite2"
        )
    if name == LITE2 and (why := missing(name)):
        raise Refused(
            f"perceptual backbone '{name}': {why} (23 MB), or set backbone to vgg16, with its file, or to a small "
            "classifier that does not score the run"
        )


def backbone(name: str, size: int, device: torch.device) -> Maps:
    """Return the frozen network called ``name``: images (n, C, size, size) in [0, 1] to the activations of its levels.

    Grey images are repeated for a network of colour.

    Raises:
        InputError: if its weights are not here or not those that it is known by, or no network is called so.
    """
    require_backbone(name)
    levels = 3 if size <= 32 else 4 if size <= 64 else 5
    if name == "vgg16":
        return _vgg(levels, device)
    if name == LITE2:
        return Lite2(levels).to(device)
    from latent_ot.metrics.evaluators.small import Small

    return Small(name, _small(name), device).net.maps


def _small(name: str) -> Path:
    """Return the weights of a small classifier."""
    from latent_ot.metrics.evaluators.base import WEIGHTS
    from latent_ot.metrics.evaluators.small import Small

    allowed = [*NEEDS_WEIGHTS, *Small.names]
    return WEIGHTS / f"{choose('perceptual backbone', name, allowed)}.safetensors"


class Lite2(nn.Module):
    """The first levels of EfficientNet-Lite2: images (n, 1 or 3, h, w) in [0, 1] -> activations, largest maps first.

    Raises:
        Refused: if the installed weights are others than those that results are kept under.
    """

    version = 1

    def __init__(self, levels: int) -> None:
        super().__init__()
        net: Any = network(LITE2, role="perceptual backbone")[0]
        last = net._blocks[LITE2_CUTS[levels - 2]]
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks = net._blocks[: LITE2_CUTS[levels - 2]]
        self.last = nn.Sequential(last._expand_conv, last._bn0, last._swish)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the activations of each level; differentiable twice."""
        x = self.stem((255 * x.expand(-1, 3, -1, -1) - 127) / 128)
        found = [x]
        for number, block in enumerate(self.blocks):
            if number in LITE2_CUTS:
                found.append(block._swish(block._bn0(block._expand_conv(x))))
            x = block(x)
        return [*found, self.last(x)]


def _vgg_file() -> Path:
    return hub() / "checkpoints" / VGG_FILE


def _vgg(levels: int, device: torch.device) -> Maps:
    from torchvision.models import vgg16

    net, what, then = vgg16(weights=None), "torchvision's weights of VGG-16", f"fetch it again from {VGG_URL}"
    fill(net, read_checkpoint(_vgg_file(), what, then), _vgg_file(), what, then)
    layers = net.features.eval().requires_grad_(False).to(device)
    return vgg_maps(layers, levels)


def vgg_maps(layers: nn.Sequential, levels: int) -> Maps:
    """Return VGG's activations after the first ``levels`` of its cuts; grey images are repeated, all go to [-1, 1]."""
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # the activations that are read must stay as they are

    def maps(x: Tensor) -> list[Tensor]:
        x = 2 * (x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)) - 1
        found, start = [], 0
        for cut in VGG_CUTS[:levels]:
            x = layers[start:cut](x)
            found.append(x)
            start = cut
        return found

    return maps
