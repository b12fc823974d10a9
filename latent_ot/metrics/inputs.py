"""What every metric asks of the features and images it is given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError, TooFew

CHUNK = 2048  # rows held in float64 at a time


def rows(values: Any, what: str, least: int = 2) -> Tensor:
    """Return ``values`` as a detached tensor (n, d).

    Raises:
        InputError: not a matrix, or a value that is not finite.
        TooFew: fewer than ``least`` rows.
    """
    matrix = torch.as_tensor(values).detach()
    if matrix.ndim != 2:
        raise InputError(f"{what}: shape {tuple(matrix.shape)}; allowed: a matrix (samples, features)")
    if len(matrix) < least:
        raise TooFew(f"{what}: {len(matrix)} samples; allowed: {least} or more")
    broken = sum(int((~torch.isfinite(part).all(dim=1)).sum()) for part in matrix.split(CHUNK))
    if broken:
        raise InputError(f"{what}: {broken} of {len(matrix)} samples are not finite; allowed: finite values only")
    return matrix


def draws(points: Any, name: str) -> list[Tensor]:
    """Return draws of points (repeats, n, d), or one draw (n, d), as a list of tensors (n, d).

    Raises:
        InputError: see ``rows``.
    """
    every = np.asarray(points)
    return [rows(draw, f"{name} points") for draw in (every if every.ndim == 3 else every[None])]


def same_width(real: Tensor, fake: Tensor) -> None:
    """Check that two matrices (n, d), (m, d) describe the same features.

    Raises:
        InputError: their widths differ.
    """
    if real.shape[-1] != fake.shape[-1]:
        raise InputError(
            f"features: {real.shape[-1]} of a real and {fake.shape[-1]} of a generated sample; allowed: equally many"
        )


def mean(features: Tensor) -> Tensor:
    """Return the mean (d,) of features (n, d) in float64, converting ``CHUNK`` rows at a time."""
    parts = features.split(CHUNK)
    sums = torch.empty(len(parts), features.shape[1], dtype=torch.float64)
    for total, part in zip(sums, parts, strict=True):
        torch.sum(part.double(), dim=0, out=total)
    return sums.sum(dim=0) / len(features)


def in_slices(count: int, size: int, make: Callable[[slice], Tensor], dtype: torch.dtype = torch.float64) -> Tensor:
    """Return values (count,), made in slices of ``size`` at most, and written where they stay.

    Small results that are kept between large temporaries would keep the memory that these leave from being used again.
    """
    found = torch.empty(count, dtype=dtype)
    for begin in range(0, count, size):
        part = slice(begin, min(begin + size, count))
        found[part] = make(part)
    return found


def image_pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return two equally shaped batches of images (n, c, h, w) as float64 in [0, 1].

    uint8 images are divided by 255; floating-point ones are clamped to [0, 1].

    Raises:
        InputError: shapes that are not image batches or differ, no image, another type, or values that are not finite.
    """
    if x.ndim != 4 or x.shape != y.shape or not len(x):
        raise InputError(
            f"images: shapes {tuple(x.shape)} and {tuple(y.shape)}; allowed: two equal (n, c, h, w), n >= 1"
        )
    return unit(x), unit(y)


def unit(images: Tensor) -> Tensor:
    """Return images, uint8 or floating point, as float64 in [0, 1].

    Raises:
        InputError: another type, or values that are not finite.
    """
    if images.dtype == torch.uint8:
        return images.double() / 255
    if not images.is_floating_point():
        raise InputError(f"images: type {images.dtype}; allowed: torch.uint8 or floating point in [0, 1]")
    if not torch.isfinite(images).all():
        raise InputError("images: some values are not finite; allowed: finite values only")
    return images.detach().double().clamp(0, 1)
