import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.pictures.images import GAP, save_grid, save_points, save_strip


def pixels(path):
    return np.asarray(Image.open(path))


def test_a_grid_holds_every_image_unchanged_at_its_place(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    save_grid(tmp_path / "g.png", images, columns=3)
    sheet = pixels(tmp_path / "g.png")
    assert sheet.shape == (2 * (8 + GAP) + GAP, 3 * (6 + GAP) + GAP, 3)
    for i, image in enumerate(images):
        top, left = GAP + (i // 3) * (8 + GAP), GAP + (i % 3) * (6 + GAP)
        assert (sheet[top : top + 8, left : left + 6] == image).all()


def test_grey_images_stay_grey_and_equal_arrays_give_equal_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    for name in ("a", "b"):
        save_grid(tmp_path / f"{name}.png", images)
    assert pixels(tmp_path / "a.png").ndim == 2
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_strip_puts_reconstructions_below_originals(tmp_path):
    originals, rebuilt = (np.full((3, 4, 4, 1), value, np.uint8) for value in (10, 200))
    save_strip(tmp_path / "s.png", originals, rebuilt)
    sheet = pixels(tmp_path / "s.png")
    assert (sheet[GAP : GAP + 4, GAP : GAP + 4] == 10).all()
    assert (sheet[2 * GAP + 4 : 2 * GAP + 8, GAP : GAP + 4] == 200).all()


def test_points_are_drawn_reproducibly(tmp_path):
    real, fake = np.random.default_rng(0).normal(size=(2, 50, 2)).astype(np.float32)
    for name in ("a", "b"):
        save_points(tmp_path / f"{name}.png", real, fake)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert len(np.unique(pixels(tmp_path / "a.png").reshape(-1, 4), axis=0)) > 5


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 4, 4, 1)), np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4, 4, 1), np.uint8)]
)
def test_anything_but_uint8_images_is_refused(tmp_path, bad):
    with pytest.raises(InputError, match="allowed: uint8"):
        save_grid(tmp_path / "g.png", bad)
    assert not list(tmp_path.iterdir())


def test_other_bad_shapes_are_refused(tmp_path):
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(InputError, match="columns 0"):
        save_grid(tmp_path / "g.png", images, columns=0)
    with pytest.raises(InputError, match="reconstructions have shape"):
        save_strip(tmp_path / "s.png", images, images[:1])
    with pytest.raises(InputError, match="generated points have shape"):
        save_points(tmp_path / "p.png", np.zeros((3, 2)), np.zeros((3, 3)))
