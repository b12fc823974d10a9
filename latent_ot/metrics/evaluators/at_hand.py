"""Weights that come with no package: where they lie on this machine, and how they get there. No torch is imported.

They are downloaded once into torch's own cache, ``$TORCH_HOME/hub``, or given as a file.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from latent_ot.errors import InputError
from latent_ot.files import home, made, sha256, shown

IMAGENET = "imagenet_lite0"
"""The evaluator of natural images, which comes with packages."""
ANY_DOMAIN = ("inception", IMAGENET, "imagenet_lite2", "dinov2", "clip")
"""Evaluators of images of any kind; all others are classifiers of one domain."""


def hub() -> Path:
    """Return the folder in which torch keeps what it downloads."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return home(Path(os.environ.get("TORCH_HOME", cache))) / "hub"


class Fetched(NamedTuple):
    """Weights of an evaluator that are downloaded.

    ``evaluator``: its name. ``what``: the weights are. ``url``: where from. ``megabytes``: their size. ``kept_as``: the
    file's name in torch's cache, if it is not that of the address; a checksum at its end is what the file must have.
    """

    evaluator: str
    what: str
    url: str
    megabytes: int
    kept_as: str = ""

    @property
    def kept(self) -> Path:
        """Where they are once they are downloaded."""
        return hub() / "checkpoints" / (self.kept_as or self.url.rpartition("/")[2])

    @property
    def how(self) -> str:
        """What to do with a file of them."""
        return f"pass it as --weights {self.evaluator}=FILE"

    @property
    def lacks(self) -> str | None:
        """In a line how to get them; None if they are here."""
        if self.kept.is_file():
            return None
        return f"not here: {self.url} ({self.megabytes:,} MB) is downloaded at its first use, or {self.how}"

    def file(self, given: Path | None) -> tuple[Path, str]:
        """Return the file, downloaded into torch's cache if none is ``given``, and its sha256 in hex.

        Raises:
            InputError: there is none and no way to download it, or it has another checksum than its name states.
        """
        import torch

        path = given or self.kept
        if given is not None and not given.is_file():
            raise InputError(
                f"{self.evaluator} weights: '{shown(given)}' is not a file; fetch {self.url} and {self.how}"
            )
        if not path.is_file():
            try:
                with made(path.parent):
                    torch.hub.download_url_to_file(self.url, str(path), hash_prefix=stated(path.name), progress=False)
            except (OSError, RuntimeError) as error:  # no network, no room; or, from torch, a wrong checksum
                reason = getattr(error, "reason", error)
                raise InputError(
                    f"{self.evaluator} weights: '{path.name}' is missing and cannot be downloaded ({reason}); "
                    f"fetch {self.url} and {self.how}, or score by a packaged one, e.g. --evaluator {IMAGENET}"
                ) from None
        return path, checksum(path, self.evaluator)


def checksum(path: Path, evaluator: str) -> str:
    """Return the sha256, in hex, of a file of an evaluator's weights.

    Raises:
        InputError: if it begins otherwise than the name of the file states.
    """
    found, told = sha256(path), stated(path.name) or ""
    if not found.startswith(told):
        raise InputError(
            f"{evaluator} weights: '{shown(path)}' has checksum {found[: len(told)]}; allowed: {told}; fetch it again"
        )
    return found


def stated(name: str) -> str | None:
    """Return the leading digits of the checksum that a file's name ends in, None if it ends in none."""
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return found[1] if found else None


INCEPTION = Fetched(
    "inception",
    "the weights of torch-fidelity's Inception v3",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    91,
)


def usual(own: str) -> tuple[str, ...]:
    """Return the evaluators that score a data set whose own one is ``own``, where nobody asks for others.

    Natural images are scored by Inception, too, where its weights are in torch's cache: a second record of each run.
    """
    return (own, INCEPTION.evaluator) if own == IMAGENET and INCEPTION.kept.is_file() else (own,)
