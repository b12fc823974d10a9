"""CelebA-HQ (Karras, Aila, Laine, Lehtinen 2018, "Progressive Growing of GANs"): 30,000 faces, here at 256 px.

Its images have 1,024 px, and the release's own 256 px form is their mean over squares of 4x4 pixels; larger images are
therefore shrunk by Pillow's ``reduce``, which is that mean. There is no official split: 3,000 images, drawn once and
for all, are held out. AE-OT-GAN, which takes this set, says nothing of a split.
"""

import re
from pathlib import Path
from typing import Any

from PIL import Image

from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Folder, Pictures, Stream, held, held_back, stream

SIZE, WHOLE = 256, 30_000
TEST, SPLIT = 3_000, "celeba_hq split"
SHRINK = Image.Image.reduce  # the mean over squares of pixels
FOLDERS = ("celeba_hq", "celeba_hq_256", "CelebAMask-HQ/CelebA-HQ-img", "CelebA-HQ-img")


def shrink(image: Image.Image) -> Image.Image:
    """Return the image at 256 px."""
    if image.width != image.height or image.width % SIZE:
        raise ValueError(f"squares of a multiple of {SIZE} pixels")
    return SHRINK(image, image.width // SIZE)


class CelebAHQ(Source):
    """Read from a folder of images: ``<data-dir>/celeba_hq``, or as CelebAMask-HQ has them."""

    names = ("celeba_hq256",)
    version = 1

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say so if there is no folder."""
        if _folder(data_dir, source) is not None:
            return None
        return (
            f"data set '{name}': no folder {FOLDERS[0]} in {data_dir}; put the 30,000 images of CelebA-HQ there, at "
            "256 or 1,024 pixels, e.g. CelebA-HQ-img from https://github.com/switchablenorms/CelebAMask-HQ"
        )

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the folder."""
        folder = _folder(data_dir, source)
        return [] if folder is None else [folder]

    def view(self, name: str) -> dict[str, Any]:
        """Name size, filter and split."""
        return {"size": SIZE, "filter": SHRINK.__name__, **held(TEST, SPLIT)}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Stream:
        """List the images; they are read while they are written."""
        folder = _folder(data_dir, source)
        assert folder is not None
        origin = Folder(folder)
        files = sorted(origin.names, key=_number)
        train, test = (
            Pictures([files[row] for row in sorted(rows)], origin.read, shrink, SIZE)
            for rows in held_back(len(files), TEST, SPLIT)
        )
        return stream(name, train, test, len(files) == WHOLE, f"made of {WHOLE:,} images")


def _folder(data_dir: Path, source: Path | None) -> Path | None:
    return source or next((data_dir / folder for folder in FOLDERS if (data_dir / folder).is_dir()), None)


def _number(path: str) -> tuple[int, str]:
    """Order files by their number, which some releases pad with zeros and others do not."""
    digits = re.findall(r"\d+", path.rpartition("/")[2])
    return int(digits[-1]) if digits else -1, path
