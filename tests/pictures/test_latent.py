import numpy as np
import pytest

from latent_ot.errors import InputError
from latent_ot.pictures.latent import save_latent


def picture(path, real, drawn, seed=0):
    save_latent(path, real, drawn, seed)
    return path.read_bytes()


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_equal_codes_give_equal_bytes(dim, tmp_path):
    rng = np.random.default_rng(0)
    real, drawn = rng.standard_normal((60, dim)), rng.standard_normal((50, dim))
    first = picture(tmp_path / "a.png", real, drawn)
    assert first == picture(tmp_path / "b.png", real, drawn)
    assert first != picture(tmp_path / "c.png", real, drawn + 1)


def test_codes_all_alike_are_drawn(tmp_path):
    assert picture(tmp_path / "a.png", np.ones((9, 5)), np.ones((9, 5)))


@pytest.mark.parametrize("drawn", [np.zeros((9, 4)), np.full((9, 5), np.nan)])
def test_codes_of_another_width_or_not_finite_are_refused(drawn, tmp_path):
    with pytest.raises(InputError, match="allowed"):
        save_latent(tmp_path / "a.png", np.zeros((9, 5)), drawn, 0)
    assert not list(tmp_path.iterdir())
