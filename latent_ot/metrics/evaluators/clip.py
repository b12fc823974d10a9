"""CLIP, in whose features CMMD is measured (``metrics/cmmd.py``): the image embedding of ViT-L/14 at 336 px.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
https://arxiv.org/abs/2103.00020, by torch-fidelity's extractor. It tells no classes apart.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from latent_ot.files import reading
from latent_ot.metrics.evaluators.at_hand import Fetched
from latent_ot.metrics.evaluators.base import Evaluator

MODEL = "clip-vit-l-14-336px"
SHA256 = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
CLIP = Fetched(
    "clip",
    "the weights of OpenAI's CLIP, ViT-L/14 at 336 px",
    f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-L-14-336px.pt",
    934,
    f"{MODEL}-{SHA256}.pt",
)


class Clip(Evaluator):
    """CLIP's image encoder with the weights of ``weights``, an archive as OpenAI's, or with those, downloaded once.

    The size of the network is that of the weights. The archive's tensors are taken, none of its code is run.

    Raises:
        InputError: no weights and no way to download them, or a file that is damaged or holds something else.
    """

    version = 1
    names = ("clip",)
    classes = False
    chunk = 50

    def __init__(self, name: str, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

        path, checksum = CLIP.file(weights)
        super().__init__(name, checksum, device)
        with reading(path, CLIP.what, CLIP.how), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit.load's, which OpenAI's archives ask for
            self.net = FeatureExtractorCLIP(MODEL, ["clip"], str(path)).to(self.device)

    @classmethod
    def resize(cls, name: str) -> str | None:
        """Return the input size and the filter."""
        return "bilinear, as TensorFlow 1, to 336 px"

    @classmethod
    def lacks(cls, name: str) -> str | None:
        """Say where its weights come from, where they are not here."""
        return CLIP.lacks

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, 768) of one chunk of uint8 images, grey ones repeated to RGB, and no logits, (n, 0)."""
        (features,) = self.net(images.expand(-1, 3, -1, -1))
        return features, features[:, :0]
