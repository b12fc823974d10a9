"""The perceptual loss: how far two images lie apart in the activations of a frozen network.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016,
https://arxiv.org/abs/1603.08155, in the form of GLANN's public code, which the GLDO paper builds on: the mean absolute
difference of pixels plus that of each level's activations. The backbone goes by name: ``vgg16`` as there, after the
convolutions of three levels at up to 32 pixels, four at 64 and five above, or one of the suite's small classifiers,
whose levels are its five convolutions. A score from the same classifier favours what was trained on its activations.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from latent_ot.errors import InputError, choose

VGG_FILE = "vgg16-397923af.pth"
VGG_CUTS = (2, 7, 12, 21, 30)  # layers after which GLANN's code reads the activations
Maps = Callable[[Tensor], list[Tensor]]


def perceptual(x: Tensor, y: Tensor, maps: Maps) -> Tensor:
    """Return the perceptual loss of images x and y, both (n, C, H, W) in [0, 1], as (n,)."""
    pairs = zip([x, *maps(x)], [y, *maps(y)], strict=True)
    return torch.stack([(a - b).abs().flatten(1).mean(dim=1) for a, b in pairs]).sum(dim=0)


def backbone_parts(name: str) -> dict[str, int | str]:
    """Return what the network called ``name`` is made of, name -> version or checksum, without loading it.

    Raises:
        InputError: as ``backbone`` does, but that VGG's weights need not be here: their name states their checksum.
    """
    if name == "vgg16":
        return {name: VGG_FILE}
    from latent_ot.metrics.evaluators.small import Small, read_card

    return {"Small": Small.version, name: read_card(_small(name))["sha256"][:16]}


def _small(name: str) -> Path:
    """Return the weights of a small classifier."""
    from latent_ot.metrics.evaluators.base import WEIGHTS
    from latent_ot.metrics.evaluators.find import names

    allowed = ["vgg16", *(classifier for classifier in names() if classifier != "inception")]
    return WEIGHTS / f"{choose('perceptual backbone', name, allowed)}.safetensors"


def backbone(name: str, size: int, device: torch.device) -> Maps:
    """Return the frozen network called ``name``: images (n, C, size, size) in [0, 1] to the activations of its levels.

    Raises:
        InputError: if its weights are not here, or no network is called so.
    """
    if name == "vgg16":
        return _vgg(size, device)
    from latent_ot.metrics.evaluators.small import Small

    return Small(name, _small(name), device).net.maps


def _vgg(size: int, device: torch.device) -> Maps:
    from torchvision.models import vgg16

    file = Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE
    if not file.is_file():
        raise InputError(
            f"perceptual backbone 'vgg16': {VGG_FILE} is not in torch's hub folder (TORCH_HOME); fetch it from "
            f"https://download.pytorch.org/models/{VGG_FILE}, or set backbone to a small classifier, e.g. mnist"
        )
    net = vgg16(weights=None)
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    layers = net.features.eval().requires_grad_(False).to(device)
    return vgg_maps(layers, 3 if size <= 32 else 4 if size <= 64 else 5)


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
