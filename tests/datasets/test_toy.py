"""2-D sets: fixed, of the stated size, with the stated moments and modes."""

import numpy as np
import pytest

from latent_ot.datasets.base import load

NAMES = ["moons", "circles", "ring8", "spiral20", "grid25"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return {name: load(name, tmp_path_factory.mktemp("data")) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_sizes_types_and_repeatability(name, sets, tmp_path):
    data = sets[name]
    assert (data.kind, data.shape, data.evaluator) == ("points", (2,), None)
    assert (data.train.shape, data.test.shape, data.train.dtype) == ((60_000, 2), (10_000, 2), np.float32)
    assert load(name, tmp_path).content_id == data.content_id
    assert list(tmp_path.iterdir()) == []
    assert not np.array_equal(data.train[:100], data.test[:100])


@pytest.mark.parametrize(("name", "count"), [("ring8", 8), ("spiral20", 20), ("grid25", 25)])
def test_mixtures_spread_evenly_around_their_modes(name, count, sets):
    data = sets[name]
    assert data.modes.shape == (count, 2)
    share = np.bincount(data.train_labels, minlength=count) / 60_000
    assert np.abs(share - 1 / count).max() < 5 * np.sqrt(1 / count / 60_000)
    residual = data.train - data.modes[data.train_labels]
    assert residual.std() == pytest.approx(data.mode_std, rel=0.02)
    assert np.abs(residual.mean(axis=0)).max() < 5 * data.mode_std / np.sqrt(60_000)
    gaps = np.linalg.norm(data.modes[:, None] - data.modes[None], axis=2) + 9 * np.eye(count)
    assert gaps.min() > 6 * data.mode_std  # modes are told apart at three standard deviations


def test_scales_are_the_stated_ones(sets):
    assert np.linalg.norm(sets["ring8"].modes, axis=1) == pytest.approx(np.full(8, 2.0))
    assert np.unique(sets["grid25"].modes.round(6)) == pytest.approx(np.array([-4, -2, 0, 2, 4]) / 2.828, abs=1e-6)
    radius = np.linalg.norm(sets["spiral20"].modes, axis=1)
    assert (radius[0], radius[-1]) == pytest.approx((0.1, 2.0))
    assert np.all(np.diff(radius) > 0)


def test_circles_have_radii_one_and_a_half_and_noise_of_a_twentieth(sets):
    data = sets["circles"]
    radius = np.linalg.norm(data.train, axis=1)
    assert radius[data.train_labels == 0].mean() == pytest.approx(1.0, abs=0.01)
    assert radius[data.train_labels == 1].mean() == pytest.approx(0.5, abs=0.01)
    assert radius[data.train_labels == 0].std() == pytest.approx(0.05, rel=0.02)


def test_moons_lie_on_two_half_circles(sets):
    data = sets["moons"]
    upper = data.train[data.train_labels == 0]
    lower = data.train[data.train_labels == 1] - np.array([1.0, 0.5])
    for half in (upper, lower):
        assert np.linalg.norm(half, axis=1).mean() == pytest.approx(1.0, abs=0.01)
