"""The Inception network of FID, IS and KID as torch-fidelity ports it from the original TensorFlow graph.

Features are the 2048 pooled activations, logits the 1008 without bias ("logits_unbiased"), as torch-fidelity's metrics
take them. Images are resized to 299 px by that package's copy of TensorFlow's bilinear filter.
"""

import io
import re
from pathlib import Path

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.evaluators.base import Evaluator, sha256

HOW = "pass it as --inception-weights FILE"


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

        path = _find(weights)
        super().__init__(name, sha256(path), device)
        stated = _stated(path.name)
        if not self.checksum.startswith(stated):
            found = self.checksum[: len(stated)]
            raise InputError(
                f"inception weights: '{path.name}' has checksum {found}; allowed: {stated}; fetch it again"
            )
        try:
            state = io.BytesIO()
            torch.save(torch.load(path, map_location="cpu", weights_only=True), state)
            state.seek(0)  # torch-fidelity would unpickle the file itself; it gets what was read safely
            self.net = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], state).to(self.device)
        except Exception as error:  # torch reports a wrong file by a dozen kinds of exception
            kind = type(error).__name__
            raise InputError(
                f"inception weights: '{path.name}' does not hold torch-fidelity's Inception v3 ({kind}); {HOW}"
            ) from None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, 2048) and logits (n, 1008) of one chunk of uint8 images, grey ones repeated to RGB."""
        return self.net(images.expand(-1, 3, -1, -1))


def kept() -> Path:
    """Return where torch keeps the weights once they are downloaded; nothing is fetched."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[1]


def _find(weights: Path | None) -> Path:
    """Return the weights file, downloaded into torch's own cache if none is given."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    if weights is not None:
        if not weights.is_file():
            raise InputError(f"inception weights: '{weights}' is not a file; fetch {URL_INCEPTION_V3} and {HOW}")
        return weights
    path = kept()
    name = path.name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=_stated(name), progress=False)
        except (OSError, RuntimeError) as error:  # no network, no room; or, from torch, a wrong checksum
            reason = getattr(error, "reason", error)
            raise InputError(
                f"inception weights: '{name}' is missing and cannot be downloaded ({reason}); "
                f"fetch {URL_INCEPTION_V3} and {HOW}, or score by a packaged one, e.g. --evaluator cifar10"
            ) from None
    return path


def _stated(name: str) -> str:
    """Return the leading digits of the checksum that a file's name ends in, or an empty string."""
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return found[1] if found else ""
