"""Resizing: Pillow's bilinear filter, which widens with the reduction, so that shrinking does not alias."""

import numpy as np
from PIL import Image


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 images (N, H, W) or (N, H, W, C), C = 1 or 3, to (N, size, size, C)."""
    flat = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
    if flat.shape[1:3] != (size, size):
        flat = np.stack([np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BILINEAR)) for x in flat])
    return flat if flat.ndim == 4 else flat[..., None]
