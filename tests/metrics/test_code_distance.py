import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics import code_distance as module
from latent_ot.metrics.code_distance import code_distance


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_ratio_of_mean_distances_to_the_nearest_training_code(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 500)  # several chunks
    drawn, held_out, training = normal(40, 6, 1), 2 * normal(30, 6, 2), normal(90, 6)
    near = [
        sum(min(float((x - z).double().norm()) for z in training) for x in codes) / len(codes)
        for codes in (drawn, held_out)
    ]
    assert code_distance(drawn, held_out, training)["code_distance"] == pytest.approx(near[0] / near[1], rel=1e-6)


def test_in_closed_form_on_a_line():
    training = torch.arange(5.0)[:, None]
    assert code_distance(training + 0.1, training - 0.2, training)["code_distance"] == pytest.approx(0.5)


def test_training_codes_given_back_are_0_and_new_ones_of_the_same_law_1():
    training, held_out = normal(400, 4), normal(300, 4, 1)
    assert code_distance(training[:50], held_out, training) == {"code_distance": 0.0}
    assert code_distance(held_out.flip(0), held_out, training)["code_distance"] == pytest.approx(1.0)
    assert code_distance(held_out, training[:50], training) == {}  # nothing to compare with


def test_it_is_free_of_scale_and_position():
    parts = normal(20, 3, 1), normal(20, 3, 2), normal(50, 3)
    plain = code_distance(*parts)["code_distance"]
    assert code_distance(*(64 * x + 7 for x in parts))["code_distance"] == pytest.approx(plain, rel=1e-4)


def test_codes_of_other_widths_are_refused():
    with pytest.raises(InputError, match=r"dimensions \[3, 3, 2\]; allowed: equal"):
        code_distance(normal(5, 3), normal(5, 3), normal(5, 2))
