"""Anyone's images as a data set: arrays, tensors, a DataLoader, or a data set of torch or of Hugging Face.

They are kept in the prepared form under a name made of their content, so that a worker process, a later command and
another machine find the same set, and a result made with them has the same key.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets import prepared, writer
from latent_ot.datasets.base import Arrays
from latent_ot.datasets.content import Card
from latent_ot.datasets.order import held_out
from latent_ot.datasets.stream import Splits
from latent_ot.errors import InputError

TEST = 10  # one image in so many is held back where no test images are given
COLUMNS = ("image", "img", "images", "pixel_values")
"""Names under which a row of a data set has its image, in the order in which they are looked for."""


def keep(images: Any, test: Any, data_dir: Path) -> str:
    """Write images in the prepared form under ``data_dir`` and return the name that they are loaded by.

    Args:
        images: to train on, see ``as_images``.
        test: to score against; None holds back one image in ten, the same ones each time.
        data_dir: the user's data folder.

    Raises:
        InputError: for what is no set of square images (see ``as_images``), or fewer than two of them.
        StoreError: for a folder that cannot be written.
    """
    train = as_images(images)
    if test is not None:
        splits = Splits(train, as_images(test))
    elif len(train) < 2:
        raise InputError(f"{len(train)} images; allowed: two or more, since one in {TEST} is held back")
    else:
        rows = held_out(np.zeros(len(train), np.int64), max(1, len(train) // TEST), "own split")
        kept, held = (np.ascontiguousarray(train[np.sort(part)]) for part in rows)
        splits = Splits(kept, held)
    if splits.train.shape[1:] != splits.test.shape[1:]:
        shapes = f"{splits.train.shape[1:]} to train on and {splits.test.shape[1:]} to score against"
        raise InputError(f"images of shape {shapes}; allowed: one shape")
    digest = hashlib.sha256(repr([part.shape for part in splits[:2]]).encode())
    for part in splits[:2]:
        digest.update(part.data)
    name = f"own_{digest.hexdigest()[:12]}"
    if prepared.sound(data_dir / name) is None:
        try:
            writer.write(data_dir / name, splits, Card(Arrays(name).origin(name)))
        except OSError as error:
            raise writer.unwritable(data_dir, splits, error) from None
    return name


def as_images(images: Any) -> np.ndarray:
    """Return images as uint8 (N, H, H, C) with C = 1 or 3.

    Args:
        images: an array or tensor (N, H, H), (N, H, H, C) or (N, C, H, H), uint8, or float in [0, 1]; or anything that
            yields images or batches of them, alone, first in a tuple, or in a column called ``image``: a DataLoader, a
            data set of torch or of Hugging Face, a list of Pillow images. Of a pair (images, labels) the images.

    Raises:
        InputError: with what was found and what is allowed.
    """
    images = _without_labels(images)
    if _is_array(images) and images.dtype != object:
        return _checked(_array(images))
    if isinstance(images, str | bytes | Mapping) or not (isinstance(images, Iterable) or _is_indexed(images)):
        allowed = "an array, a tensor, a DataLoader, a data set, a list of images"
        raise InputError(f"images of type {type(images).__name__}; allowed: {allowed}, or a data set's name")
    parts = [_checked(_batch(part)) for part in _each(images)]
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) != 1:
        raise InputError(f"images of shapes {', '.join(map(str, shapes)) or 'none'}; allowed: one or more, all alike")
    return np.concatenate(parts)


def _is_array(images: Any) -> bool:
    return hasattr(images, "shape") and hasattr(images, "dtype")


def _without_labels(images: Any) -> Any:
    """Return the images of a pair (images, labels), which no method here looks at, and anything else as it is."""
    if not (isinstance(images, tuple | list) and len(images) == 2 and all(map(_is_array, images))):
        return images
    found, labels = images
    if labels.ndim != 1:
        return images
    if len(labels) != len(found):
        raise InputError(f"{len(labels)} labels of {len(found)} images; allowed: as many, or the images alone")
    return found


def _each(images: Any) -> Iterator[Any]:
    """Yield what a set consists of; torch's map-style sets have a length and no end."""
    yield from (images[i] for i in range(len(images))) if _is_indexed(images) else images


def _is_indexed(images: Any) -> bool:
    return hasattr(images, "__len__") and hasattr(images, "__getitem__") and not isinstance(images, Iterable)


def _batch(part: Any) -> np.ndarray:
    """Return one image or one batch as an array (n, ...)."""
    if isinstance(part, Mapping):
        column = next((name for name in COLUMNS if name in part), None)
        if column is None:
            raise InputError(f"a row has columns {', '.join(map(str, part))}; allowed: one of {', '.join(COLUMNS)}")
        part = part[column]
    elif isinstance(part, list | tuple) and len(part) and not isinstance(part, str):
        part = part[0]
    if isinstance(part, str | os.PathLike):
        raise InputError(
            f"'{part}' in place of an image; allowed: images; nearest: the data set folder:PATH of a folder"
        )
    array = _array(part)
    whole = array.ndim == 4 or (array.ndim == 3 and not {array.shape[0], array.shape[2]} & {1, 3})
    return array if whole else array[None]


def _array(images: Any) -> np.ndarray:
    """Return a tensor, an array or a Pillow image as an array."""
    if hasattr(images, "detach"):
        images = images.detach().cpu().numpy()
    mode = "L" if _is_array(images) else getattr(images, "mode", "L")
    if mode not in ("L", "RGB"):
        raise InputError(f"a picture of mode {mode}; allowed: L, RGB; nearest: picture.convert('RGB')")
    return np.asarray(images)


def _checked(array: np.ndarray) -> np.ndarray:
    """Return an array of images as uint8 (N, H, H, C)."""
    shape = array.shape
    if array.ndim == 3:
        array = array[..., None]
    elif array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or not array.size or array.shape[1] != array.shape[2] or array.shape[3] not in (1, 3):
        allowed = "(N, H, H), (N, H, H, C) or (N, C, H, H), N >= 1, C = 1 or 3"
        raise InputError(f"images of shape {shape}; allowed: {allowed}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "fiub":
        raise InputError(f"images of type {array.dtype}; allowed: uint8, or float in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind != "f":
        nearest = "images.astype('uint8')" if low >= 0 and 1 < high <= 255 else f"{low:g} to {high:g} scaled to [0, 1]"
        raise InputError(f"images of type {array.dtype}; allowed: uint8, or float in [0, 1]; nearest: {nearest}")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InputError(f"float images from {low:.4g} to {high:.4g}, {bad} pixels not finite; allowed: 0 to 1")
    if not (low >= 0 and high <= 1):
        scale = "(images + 1) / 2" if -1 <= low < 0 and high <= 1 else "scale them to [0, 1]"
        nearest = "divide by 255" if low >= 0 and 1 < high <= 255 else scale
        raise InputError(f"float images from {low:.4g} to {high:.4g}; allowed: 0 to 1; nearest: {nearest}")
    return np.ascontiguousarray(np.rint(array * 255).astype(np.uint8))
