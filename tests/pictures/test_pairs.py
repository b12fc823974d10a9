import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.pictures.pairs import save_pairs


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_first_codes_are_drawn_below_the_diagonal_and_the_second_above(tmp_path):
    first, second, other = np.clip(np.random.default_rng(0).standard_normal((3, 60, 2)), -2, 2)
    first[0] = 2.0  # every picture has the same reach
    for name, codes in {"a": (first, second), "b": (first, second), "c": (first, other)}.items():
        save_pairs(tmp_path / f"{name}.png", codes, ("Q(x)", "N(0, I)"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    changed = (pixels(tmp_path / "a.png") != pixels(tmp_path / "c.png")).any(axis=2)
    height, width = changed.shape
    assert changed[: height // 2, width // 2 :].any()
    assert not changed[height // 2 + 20 :, : width // 2 - 5].any()


def test_a_picture_has_at_most_eight_dimensions(tmp_path):
    codes = np.random.default_rng(0).standard_normal((2, 20, 20))
    save_pairs(tmp_path / "wide.png", codes, ("a", "b"))
    save_pairs(tmp_path / "eight.png", codes[:, :, :8], ("a", "b"))
    assert (tmp_path / "wide.png").read_bytes() == (tmp_path / "eight.png").read_bytes()


@pytest.mark.parametrize(
    "codes",
    [
        [np.zeros((9, 3))],
        [np.zeros((9, 3)), np.zeros((9, 4))],
        [np.zeros((9, 3)), np.zeros((0, 3))],
        [np.zeros((9, 1))] * 2,
        [np.full((9, 3), np.nan)] * 2,
    ],
)
def test_codes_that_make_no_picture_are_refused(codes, tmp_path):
    with pytest.raises(InputError, match="allowed"):
        save_pairs(tmp_path / "a.png", codes, ("a", "b"))
    assert not list(tmp_path.iterdir())
