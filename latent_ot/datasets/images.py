"""Resizing: Pillow's bilinear filter, which widens with the reduction, so that shrinking does not alias."""

from typing import Any

import numpy as np
from PIL import Image

FILTER = Image.Resampling.BILINEAR


def scale(image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """Resize an image, or the part of it in ``box``, to (width, height); every data set resizes by this function."""
    return image.resize(size, FILTER, box)


def scaled(size: int) -> dict[str, Any]:
    """Describe what ``scale`` does, for a source's ``view``."""
    return {"size": size, "filter": FILTER.name.lower()}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 images (N, H, W) or (N, H, W, C), C = 1 or 3, to (N, size, size, C)."""
    flat = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
    if flat.shape[1:3] != (size, size):
        flat = np.stack([np.asarray(scale(Image.fromarray(x), (size, size))) for x in flat])
    return flat if flat.ndim == 4 else flat[..., None]
