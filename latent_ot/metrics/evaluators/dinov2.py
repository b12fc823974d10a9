"""DINOv2, in whose features the Fréchet distance is FD-DINOv2: the embedding of ViT-L/14, as torch-fidelity takes it.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", TMLR 2024, https://arxiv.org/abs/2304.07193;
as an evaluator: Stein et al., "Exposing Flaws of Generative Model Evaluation Metrics and Their Unfair Treatment of
Diffusion Models", NeurIPS 2023, https://arxiv.org/abs/2306.04675, whose own resize is another (bicubic). It tells no
classes apart.
"""

import contextlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from latent_ot.errors import InputError
from latent_ot.metrics.evaluators.at_hand import Fetched, hub
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.tensors import fill, read_checkpoint

REPOSITORY, NETWORK = "facebookresearch/dinov2", "dinov2_vitl14"
DINOV2 = Fetched(
    "dinov2",
    "the weights of DINOv2's ViT-L/14",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    1218,
)


class DinoV2(Evaluator):
    """DINOv2's ViT-L/14 behind torch-fidelity's extractor, with the weights of ``weights`` or the downloaded ones.

    The network itself is its authors' code, which torch keeps in its cache, too; weights are read as tensors only.

    Raises:
        InputError: no weights or no code and no way to download them, or a file that is damaged or another's.
    """

    version = 1
    names = ("dinov2",)
    classes = False
    chunk = 50

    def __init__(self, name: str, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.feature_extractor_base import FeatureExtractorBase
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

        class Extractor(FeatureExtractorDinoV2):
            """torch-fidelity's, around a network that is there already; its own constructor takes no file."""

            def __init__(self, net: nn.Module) -> None:
                FeatureExtractorBase.__init__(self, "dinov2-vit-l-14", ["dinov2"])
                self.feature_extractor_internal_dtype = torch.float32
                self.model = net

        path, checksum = DINOV2.file(weights)
        super().__init__(name, checksum, device)
        net = _network()
        fill(net, read_checkpoint(path, DINOV2.what, DINOV2.how), path, DINOV2.what, DINOV2.how)
        self.net = Extractor(net).eval().requires_grad_(False).to(self.device)

    @classmethod
    def resize(cls, name: str) -> str | None:
        """Return the input size and the filter."""
        return "bilinear, as TensorFlow 1, to 224 px"

    @classmethod
    def lacks(cls, name: str) -> str | None:
        """Say where its weights come from, where they are not here."""
        return DINOV2.lacks

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, 1024) of one chunk of uint8 images, grey ones repeated to RGB, and no logits, (n, 0)."""
        (features,) = self.net(images.expand(-1, 3, -1, -1))
        return features, features[:, :0]


def _network() -> nn.Module:
    """Return the network without its weights, by its authors' code, downloaded into torch's cache if need be."""
    kept = hub() / f"{REPOSITORY.replace('/', '_')}_main"
    where = (str(kept), "local") if kept.is_dir() else (REPOSITORY, "github")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return torch.hub.load(where[0], NETWORK, source=where[1], pretrained=False, verbose=False)
    except Exception as error:  # no network, or whatever the code there raises
        reason = next(iter(str(getattr(error, "reason", error)).splitlines()), type(error).__name__)
        raise InputError(
            f"evaluator 'dinov2': its network cannot be loaded ({reason}); unpack "
            f"https://github.com/{REPOSITORY}/archive/main.zip as '{kept.name}' in torch's hub folder (TORCH_HOME)"
        ) from None
