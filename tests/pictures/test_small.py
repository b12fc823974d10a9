"""The small picture of a run: how small, which part, and the same bytes every time."""

import io

import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.pictures.images import save_grid, save_points
from latent_ot.pictures.small import LIMIT, small_picture


def sheet(path, seed=0, size=16, channels=1, n=64):
    """A sheet of noise, which compresses as badly as a picture can."""
    save_grid(path, np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8))
    return path


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 1), (32, 3), (64, 3), (256, 3)])
def test_a_small_picture_is_small_and_the_same_every_time(tmp_path, size, channels):
    data = small_picture(sheet(tmp_path / "a.png", size=size, channels=channels), "samples")
    assert data == small_picture(sheet(tmp_path / "b.png", size=size, channels=channels), "samples")
    assert len(data) <= LIMIT
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    assert image.width <= 560


def test_the_small_picture_holds_the_first_four_rows_where_they_fit(tmp_path):
    image = Image.open(io.BytesIO(small_picture(sheet(tmp_path / "a.png"), "samples")))
    assert image.size == (8 * 18 + 2, 4 * 18 + 2)
    whole = Image.open(tmp_path / "a.png")
    apart = np.abs(np.array(image.convert("L"), float) - np.array(whole)[: image.height])
    assert apart.max() <= 16  # of 16 greys


def test_a_scatter_is_scaled_down_whole(tmp_path):
    points = np.random.default_rng(0).standard_normal((3000, 2))
    save_points(tmp_path / "p.png", points, points)
    data = small_picture(tmp_path / "p.png", "points")
    assert Image.open(io.BytesIO(data)).size == (240, 240)
    assert len(data) <= LIMIT
    with pytest.raises(InputError, match="kind of picture 'latent' is unknown; allowed: copies, points, samples"):
        small_picture(tmp_path / "p.png", "latent")
