"""CelebA (Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild", 2015): aligned faces, as papers crop them.

The official partition's training images (162,770) train and its test images (19,962) are held out; the 19,867 of its
validation split are left alone. A crop is a square of the 178x218 image around (row, column), resized to the set's size
by Pillow's antialiased bilinear filter, which no paper states:

- ``celeba64_crop160``, ``celeba64_crop108``: GLDO, around the image's centre (109, 89); 108 in its Section 4.9.4.
- ``celeba64_crop140``: AE-OTtrans/AE-OTgen and WAE, around the centre.
- ``celeba64``: AE-OT-GAN and iWGAN, which state no crop. The centred 108 is our choice: AE-OT-GAN has its networks from
  WGAN-div, whose code scores against TTUR's statistics of faces cut by the public DCGAN code, and 108 is its default.
- ``celeba128``: GLDO after ProgGAN, the 128 pixels around (121, 89) as they are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from latent_ot.datasets.images import scaled
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import ENDINGS, Folder, Pictures, Stream, Zip, crop, stream
from latent_ot.errors import Damaged
from latent_ot.files import read_text, shown

WIDTH, HEIGHT = 178, 218
WHOLE = {"train": 162_770, "test": 19_962}
SPLIT = {"0": "train", "1": "validation", "2": "test"}
HOME = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@dataclass(frozen=True)
class Crop:
    """A square of ``side`` pixels around (``row``, ``column``), resized to ``size``."""

    row: int
    column: int
    side: int
    size: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the crop of an aligned face."""
        if image.size != (WIDTH, HEIGHT):
            raise ValueError(f"{WIDTH}x{HEIGHT}, as in img_align_celeba")
        return crop(image, self.column - self.side // 2, self.row - self.side // 2, self.side, self.size)


CROPS = {
    "celeba64_crop160": Crop(109, 89, 160, 64),
    "celeba64_crop140": Crop(109, 89, 140, 64),
    "celeba64_crop108": Crop(109, 89, 108, 64),
    "celeba64": Crop(109, 89, 108, 64),
    "celeba128": Crop(121, 89, 128, 128),
}


class CelebA(Source):
    """Read from ``<data-dir>/celeba``: img_align_celeba, a folder or the zip, and list_eval_partition.txt beside it."""

    names = tuple(CROPS)
    version = 1

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Name what is not there of the images and the partition."""
        root = source or data_dir / "celeba"
        if _images(root) is None:
            what, file = "img_align_celeba (folder) or img_align_celeba.zip", "img_align_celeba.zip"
        elif _partition(root) is None:
            what = file = "list_eval_partition.txt"
        else:
            return None
        return f"data set '{name}': no {what} in {root}; fetch {file} from {HOME} and put it there"

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return images and partition."""
        root = source or data_dir / "celeba"
        return [path for path in (_images(root), _partition(root)) if path is not None]

    def view(self, name: str) -> dict[str, Any]:
        """Name crop, size and the partition's splits."""
        cut = CROPS[name]
        return {"crop": [cut.row, cut.column, cut.side], **scaled(cut.size), "split": SPLIT}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Stream:
        """List the partition's files that are there; they are read while they are written."""
        root = source or data_dir / "celeba"
        images, partition = _images(root), _partition(root)
        assert images is not None
        assert partition is not None
        origin = Folder(images) if images.is_dir() else Zip(images)
        here = {stem(path): path for path in sorted(origin.names, key=lambda path: path.lower().endswith(".jpg"))}
        listed = read_partition(partition)
        train, test = (
            Pictures(
                [here[stem(file)] for file in files if stem(file) in here], origin.read, CROPS[name], CROPS[name].size
            )
            for files in (listed["train"], listed["test"])
        )
        whole = (len(train), len(test)) == (WHOLE["train"], WHOLE["test"])
        return stream(name, train, test, whole, f"{WHOLE['train']:,} and {WHOLE['test']:,} images")


def _images(root: Path) -> Path | None:
    """Return the folder or the archive; ``Img`` is where the official download has it."""
    names = [f"img_align_celeba{of}{form}" for of in ("", "_png") for form in ("", ".zip")]
    if root.name in names and root.is_dir():
        return root
    places = (root / folder / name for name in names for folder in ("", "Img", "celeba"))
    return next((path for path in places if path.is_dir() or path.is_file()), None)


def _partition(root: Path) -> Path | None:
    """Return the partition's file; ``Eval`` is where the official download has it, and .csv how others pass it on."""
    places = [
        root,
        root / "Eval",
        root / "celeba",
        *([root.parent] if root.name.startswith("img_align_celeba") else []),
    ]
    paths = (place / f"list_eval_partition.{ending}" for place in places for ending in ("txt", "csv"))
    return next((path for path in paths if path.is_file()), None)


def stem(path: str) -> str:
    """Return by what a face is called whether it is kept as .jpg, as the partition has it, or as .png."""
    return path.rpartition("/")[2].rpartition(".")[0]


def read_partition(path: Path) -> dict[str, list[str]]:
    """Return the file names of each split, in order.

    Raises:
        InputError: naming the first line that is not a file name with 0, 1 or 2, or no line at all.
    """
    splits: dict[str, list[str]] = {split: [] for split in SPLIT.values()}
    what, then = "CelebA's partition, a file name and 0, 1 or 2 a line", f"fetch it again from {HOME}"
    for number, line in enumerate(read_text(path, what, then).splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or words == ["image_id", "partition"]:
            continue
        if len(words) != 2 or words[1] not in SPLIT or not words[0].lower().endswith(ENDINGS):
            raise Damaged(f"'{shown(path)}' line {number} is '{line[:40]}'; allowed: a file name and 0, 1 or 2; {then}")
        splits[SPLIT[words[1]]].append(words[0])
    return {split: sorted(files) for split, files in splits.items()}
