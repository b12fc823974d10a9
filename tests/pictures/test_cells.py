import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.pictures.cells import Cells, draw_cells

CODES = np.array([[1.0, 0.0], [-1.0, 0.0]])


def picture(path, heights):
    w = np.random.default_rng(0).uniform(-0.5, 0.5, (100, 2))
    draw_cells(path, Cells(CODES, np.array(heights), w, w))
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_equal_arrays_give_equal_bytes(tmp_path):
    picture(tmp_path / "a.png", [0.0, 0.0])
    picture(tmp_path / "b.png", [0.0, 0.0])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_heights_move_the_border_between_cells(tmp_path):
    even, tilted = picture(tmp_path / "a.png", [0.0, 0.0]), picture(tmp_path / "b.png", [0.4, -0.4])
    assert (even != tilted).any(axis=2).mean() > 0.05


def test_arrays_that_do_not_match_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\(3,\)"):
        draw_cells(tmp_path / "a.png", Cells(CODES, np.zeros(3), CODES, CODES))
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        draw_cells(tmp_path / "a.png", Cells(np.zeros((2, 3)), np.zeros(2), CODES, CODES))
