"""Small classifiers of one image domain, for scores where Inception is absent or foreign (MNIST, CIFAR-10, your own).

Five 3x3 convolutions with batch normalisation: 6.0 million multiply-adds an image at 32 px and 246,000 parameters. The
activations of the last convolution, averaged over space, are the features, as pool3 is Inception's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_ot.errors import Damaged
from latent_ot.files import read_json, reading, sha256, shown
from latent_ot.metrics.evaluators.base import WEIGHTS, Evaluator
from latent_ot.tensors import fill, read_tensors

SIZE = 32
AGAIN = "fetch it again, or let `latent-ot train-evaluator` write both files"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow turns RGB into grey


class SmallNet(nn.Module):
    """Classifier of float images (n, channels, 32, 32) in [0, 1].

    Args:
        channels: of the images it was trained on, 1 or 3.
        classes: number of logits.
        widths: channels of the four resolutions 32, 16, 8 and 4 px; the last is the feature dimension.
    """

    def __init__(self, channels: int, classes: int = 10, widths: Sequence[int] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.channels, self.widths = channels, list(widths)
        a, b, c, d = widths
        steps = [(channels, a, 1), (a, b, 2), (b, c, 2), (c, d, 2), (d, d, 1)]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o, stride in steps
        )
        self.head = nn.Linear(d, classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the activations after each convolution, (n, width, size, size); differentiable, for perceptual losses.

        ``x``: float images in [0, 1] with 1 or 3 channels and any size.
        """
        x = 2 * conform(x, self.channels) - 1
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, D) and logits (n, classes) of float images in [0, 1]."""
        features = self.maps(x)[-1].mean(dim=(2, 3))
        return features, self.head(features)


def luma(x: Tensor) -> Tensor:
    """Return the luminance (n, 1, h, w) of images with 1 or 3 channels."""
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True) if x.shape[1] == 3 else x


def conform(x: Tensor, channels: int) -> Tensor:
    """Bring float images (n, 1 or 3, h, w) to (n, channels, 32, 32): luma or repetition, antialiased bilinear size."""
    if x.shape[1] == 3 and channels == 1:
        x = luma(x)
    elif x.shape[1] == 1 and channels == 3:
        x = x.expand(-1, 3, -1, -1)
    if x.shape[2:] != (SIZE, SIZE):
        x = F.interpolate(x, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    return x


class Small(Evaluator):
    """A ``SmallNet`` with its weights; ``<weights>.json`` beside the file states architecture and checksum.

    Args:
        name: one of ``names``; with ``weights``, any other name for a classifier of one's own.
        weights: safetensors file, in place of the packaged one.
        device: where the network runs.

    Raises:
        InputError: if a file is missing, the statement is unreadable, or the checksum differs from the stated one.
    """

    version = 1
    names = tuple(sorted(path.stem for path in WEIGHTS.glob("*.safetensors")))

    def __init__(self, name: str, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        weights = weights or WEIGHTS / f"{name}.safetensors"
        card = read_card(weights)
        super().__init__(name, card["sha256"], device)
        what = f"the weights of evaluator {name}"
        with reading(weights.with_suffix(".json"), "the statement beside an evaluator's weights", AGAIN):
            self.net = SmallNet(**card["architecture"])
        fill(self.net, read_tensors(weights, what, AGAIN), weights, what, AGAIN)
        self.net.eval().requires_grad_(False).to(self.device)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, D) and logits (n, K) of one chunk of uint8 images."""
        return self.net(images.float() / 255)


def read_card(weights: Path) -> dict[str, Any]:
    """Return what is stated beside a weights file, after checking the file against it."""
    beside = weights.with_suffix(".json")
    what = "the statement beside an evaluator's weights"
    card = read_json(beside, what, AGAIN)
    with reading(beside, what, AGAIN):
        stated = str(card["sha256"])
        card["architecture"]["channels"]
    with reading(weights, "the weights of an evaluator", AGAIN):
        found = sha256(weights)
    if found != stated:
        raise Damaged(
            f"'{shown(weights)}' has checksum {found[:12]}; allowed: {stated[:12]}, as '{beside.name}' states; {AGAIN}"
        )
    return card
