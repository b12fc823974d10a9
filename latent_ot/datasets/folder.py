"""Anyone's images: ``folder:PATH`` takes every image under PATH, any mix of sizes and modes, at 32 px.

``folder:PATH@64`` takes another size. The largest centred square of each image is resized with Pillow's bilinear
filter. The set is grey if every image is, else RGB; transparency is laid on white. A tenth of the images, drawn once
and for all, is the test split. The id is the folder's name with a hash of the files' names and bytes, free of any path.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from latent_ot.datasets.content import read_card, relative, state
from latent_ot.datasets.images import scale, scaled
from latent_ot.datasets.order import numpy_generator
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits
from latent_ot.errors import InputError
from latent_ot.files import home, shown

SIZES = (32, 64, 128, 256, 512, 1024)
SPLIT, SHARE = "folder split", 10  # one image in so many is held out
DEEP, GROUND = 257, "white"  # levels of 16 bits to one of 8; what transparency is laid on
NAMED = 5  # unreadable files named one by one


class Folder(Source):
    """Images under a folder; ``name`` is ``folder:PATH`` or ``folder:PATH@SIZE``."""

    version = 1

    def identify(self, name: str, data_dir: Path | None = None) -> str:
        """Return ``folder_<folder's name>[_<size>px]_<8 hex digits of the files>``, kept while their times stay."""
        root, size = parse(name)
        plain = re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_") or "images"
        stem = "_".join(["folder", plain, *([f"{size}px"] if size != 32 else [])])
        if data_dir is not None and (known := _noted(root, size, stem, data_dir)):
            return known
        digest = hashlib.sha256()
        for inside in files(root)[0]:
            path = f"{root}/{inside}"
            digest.update(os.fsencode(f"{inside}/{os.stat(path).st_size}/"))
            with contextlib.suppress(OSError), open(path, "rb") as file:  # unreadable: ``read`` will note it
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"{stem}_{digest.hexdigest()[:8]}"

    def missing(self, name: str, data_dir: Path, source: Path | None = None) -> str | None:
        """Say so if there is no such folder."""
        if _is_folder(name):
            return None
        how = "load the images by folder:PATH, or prepare them under another name by --source PATH"
        return f"there is no folder '{shown(name.removeprefix('folder:'))}'; {how}"

    def originals(self, name: str, data_dir: Path, source: Path | None = None) -> list[Path]:
        """Return the folder."""
        return [split(name)[0]]

    def view(self, name: str) -> dict[str, Any]:
        """Name size, filter, what becomes of depth and transparency, and the split."""
        return {**scaled(split(name)[1]), "deep": DEEP, "ground": GROUND, "split": SPLIT, "share": SHARE}

    def read(self, name: str, data_dir: Path, source: Path | None = None) -> Splits:
        """Read all images.

        Raises:
            InputError: if fewer than two images can be read.
        """
        return read_images(*parse(name))


def _noted(root: Path, size: int, stem: str, data_dir: Path) -> str | None:
    """Return the id that an earlier load found, if the files' names, sizes and times are what they were then."""
    now = state([root]), relative(root, data_dir)
    for folder in data_dir.glob(f"{stem}_????????"):
        card = read_card(folder)
        if card and card.origin and (card.files, card.place) == now and card.origin.get("view", {}).get("size") == size:
            return folder.name
    return None


def parse(name: str) -> tuple[Path, int]:
    """Split ``folder:PATH[@SIZE]`` into the folder and the size in pixels.

    Raises:
        InputError: if there is no such folder, or the size is not a power-of-two multiple of 32.
    """
    root, size = split(name)
    if size not in SIZES:
        near = min(SIZES, key=lambda allowed: abs(allowed - size))
        raise InputError(f"size {size} of '{name}'; allowed: {', '.join(map(str, SIZES))}; nearest: {near}")
    if not _is_folder(name):
        raise InputError(f"'{name}': there is no folder '{root}'; allowed: folder:PATH or folder:PATH@SIZE")
    return root, size


def _is_folder(name: str) -> bool:
    root, size = split(name)
    return name not in ("folder:", f"folder:@{size}") and root.is_dir()


def split(name: str) -> tuple[Path, int]:
    """Split ``folder:PATH[@SIZE]`` like ``parse``, whether or not there is such a folder and size."""
    text = name.removeprefix("folder:")
    before, at, after = text.rpartition("@")
    path, size = (before, after) if at and after.isdigit() and not Path(text).is_dir() else (text, "32")
    return home(Path(path)), int(size)


def files(root: Path) -> tuple[list[str], list[str]]:
    """Return the files under ``root`` in a fixed order, hidden ones and those in hidden folders left out.

    Returns:
        Their paths below it; and in words what else was left out: links to nowhere and to folders, closed folders.
    """
    found: list[str] = []
    out: dict[str, list[str]] = {}

    def look(at: str) -> None:
        try:
            entries = [entry for entry in os.scandir(f"{root}/{at}") if not entry.name.startswith(".")]
        except OSError:
            out.setdefault("folders cannot be opened", []).append(at)
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                look(f"{at}{entry.name}/")
            elif entry.is_file():
                found.append(f"{at}{entry.name}")
            elif entry.is_symlink():
                why = "links lead to folders, and are not followed" if entry.is_dir() else "links lead nowhere"
                out.setdefault(why, []).append(f"{at}{entry.name}")

    look("")
    return sorted(found, key=lambda path: path.split("/")), [told(f"{len(out[w])} {w}", out[w]) for w in sorted(out)]


def told(what: str, names: Sequence[str]) -> str:
    """Return a note with the first few of some files' names, in order."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what}: {', '.join(map(shown, sorted(names)[:NAMED]))}{more}"


def read_images(root: Path, size: int) -> Splits:
    """Return the images under ``root`` at ``size`` px, split 90/10; files that are no images are noted, not fatal."""
    images, unreadable = [], []
    inside, notes = files(root)
    for name in inside:
        try:
            images.append(read_square(root / name, size))
        except Exception:  # a damaged file makes Pillow's decoders raise errors of almost any type
            unreadable.append(name)
    if unreadable:
        notes = [told(f"{len(unreadable)} files could not be read as images", unreadable), *notes]
    if len(images) < 2:
        raise InputError(
            "; ".join([f"'{shown(root)}' holds {len(images)} readable images, allowed: 2 or more", *notes])
        )
    pixels = np.stack(images)
    if all((image == image[..., :1]).all() for image in images):
        pixels = pixels[..., :1]
    order = numpy_generator(0, SPLIT).permutation(len(pixels))
    test = max(1, len(pixels) // SHARE)
    return Splits(pixels[order[test:]], pixels[order[:test]], notes=tuple(notes))


def read_like(root: Path, shape: tuple[int, ...], exact: bool = False) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the images under a folder as those of a set of ``shape`` (C, H, H), and the files that are no images.

    ``exact``: whether they must be such images already, not brought to their size or to grey.

    Returns:
        File name -> image, uint8 (H, H, C), in a fixed order; and the names of the others.

    Raises:
        InputError: if there is no such folder, no image in it or, if asked, another one than such.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder '{root}'; allowed: a folder with images")
    images, unreadable = {}, []
    inside, _ = files(root)
    for name in inside:
        try:
            image, size = read_square(root / name, shape[1]), _size(root / name)
        except Exception:  # a damaged file makes Pillow's decoders raise errors of almost any type
            unreadable.append(name)
            continue
        colour = shape[0] == 1 and (image != image[..., :1]).any()
        if exact and (size != (shape[1], shape[1]) or colour):
            what = f"'{shown(name)}' is a picture of {size[0]} x {size[1]} px{', in colour' if colour else ''}"
            raise InputError(f"{what}; allowed: {shape[1]} x {shape[1]} px{', grey' if shape[0] == 1 else ''}")
        images[name] = image if shape[0] == 3 else np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if not images:
        raise InputError(f"'{root}' holds no readable image; allowed: a folder with images")
    return images, unreadable


def _size(path: Path) -> tuple[int, int]:
    """Return the width and the height of a picture, of which no more than its head is read."""
    with Image.open(path) as file:
        return file.size


def read_square(path: Path, size: int) -> np.ndarray:
    """Return one image as uint8 (size, size, 3)."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow itself would clip at 255
            levels = np.asarray(image, np.float64)
            image = Image.fromarray(np.clip(np.rint(levels / DEEP), 0, 255).astype(np.uint8))
        elif image.mode == "F":
            raise ValueError("floating-point pixels have no stated range")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, GROUND), image)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        return np.asarray(scale(image.convert("RGB"), (size, size), box))
