import pytest
from driving import normal

from latent_ot.metrics.code_floor import code_floor
from latent_ot.metrics.latent import score_codes


def test_the_floor_is_the_figures_of_as_many_training_codes():
    training, held_out = normal(60, 4), normal(50, 4, 1)
    found = code_floor(normal(60, 4, 2), held_out, training)
    alone = score_codes(training, held_out, training)
    assert found == {f"{key}_floor": alone[key] for key in ("code_w2", "code_precision", "code_recall")}


def test_fewer_training_codes_than_drawn_ones_give_none():
    assert code_floor(normal(60, 4, 2), normal(50, 4, 1), normal(59, 4)) == {}


def test_codes_shrunk_to_half_are_past_the_floor_and_fresh_ones_at_it():
    training, held_out, drawn = normal(2000, 40), normal(300, 40, 1), normal(300, 40, 2)
    floor = code_floor(drawn, held_out, training)["code_w2_floor"]
    assert score_codes(drawn / 2, held_out, training)["code_w2"] < 0.95 * floor
    assert score_codes(drawn, held_out, training)["code_w2"] == pytest.approx(floor, rel=0.03)
    precision = score_codes(drawn / 2, held_out, training)["code_precision"]
    assert precision > code_floor(drawn, held_out, training)["code_precision_floor"]


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_neither_scale_nor_position_moves_it(scale):
    codes = [normal(70, 5, seed).double() for seed in range(3)]
    moved = [scale * x + 3 for x in codes]
    assert code_floor(*moved) == pytest.approx(code_floor(*codes), rel=1e-6)
