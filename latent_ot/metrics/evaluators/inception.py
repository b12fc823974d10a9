"""The Inception network of FID, IS and KID as torch-fidelity ports it from the original TensorFlow graph.

Features are the 2048 pooled activations, logits the 1008 without bias ("logits_unbiased"), as torch-fidelity's metrics
take them. Images are resized to 299 px by that package's copy of TensorFlow's bilinear filter.
"""

import io
from pathlib import Path

import torch
from torch import Tensor

from latent_ot.files import reading
from latent_ot.metrics.evaluators.at_hand import INCEPTION
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.tensors import read_checkpoint


class Inception(Evaluator):
    """Inception v3 with the weights of ``weights``, or else with torch-fidelity's, downloaded once.

    A file is read as tensors only and never executed. A file whose name ends in a checksum, as torch-fidelity's does,
    must have it; others are told apart by their checksum, which is part of the protocol.

    Raises:
        InputError: no weights and no way to download them, or a file that is damaged or holds something else.
    """

    version = 1
    names = ("inception",)
    chunk = 50

    def __init__(self, name: str, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path, checksum = INCEPTION.file(weights)
        super().__init__(name, checksum, device)
        found = read_checkpoint(path, INCEPTION.what, INCEPTION.how)
        with reading(path, INCEPTION.what, INCEPTION.how):
            state = io.BytesIO()
            torch.save(found, state)
            state.seek(0)  # torch-fidelity would unpickle the file itself; it gets what was read safely
            self.net = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], state).to(self.device)

    @classmethod
    def lacks(cls, name: str) -> str | None:
        """Say where its weights come from, where they are not here."""
        return INCEPTION.lacks

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, 2048) and logits (n, 1008) of one chunk of uint8 images, grey ones repeated to RGB."""
        return self.net(images.expand(-1, 3, -1, -1))
