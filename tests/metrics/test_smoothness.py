import numpy as np
import pytest

from latent_ot.metrics.smoothness import smoothness


def test_an_even_walk_scores_one_and_a_jump_its_number_of_steps():
    even = np.linspace(0, 1, 9)[None, :, None] * np.ones((2, 1, 4))
    jump = (np.arange(9) > 3)[None, :, None] * np.ones((2, 1, 4))
    assert smoothness(even) == pytest.approx(1)
    assert smoothness(jump) == pytest.approx(8)
    assert smoothness(np.concatenate([even, jump])) == pytest.approx(4.5)


def test_scale_and_image_shape_do_not_matter():
    walks = np.random.default_rng(0).random((3, 5, 2, 4, 4))
    assert smoothness(10 * walks) == pytest.approx(smoothness(walks.reshape(3, 5, -1)))
