import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.walk_modes import walks_on_modes

MODES, STD = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 0.11


def line(a, b, steps=21):
    return torch.lerp(torch.tensor(a), torch.tensor(b), torch.linspace(0, 1, steps)[:, None])


def test_a_straight_line_between_two_modes_is_on_them_for_three_deviations_at_either_end():
    across = walks_on_modes(line([0.0, 0.0], [1.0, 0.0], 1001)[None], MODES, STD)
    assert across["interp_on_mode"] == pytest.approx(2 * 0.33, abs=0.003)
    assert across["interp_on_mode_across"] == across["interp_on_mode"]


def test_walks_within_a_mode_count_in_all_walks_alone():
    walks = torch.stack([line([0.0, 0.0], [0.1, 0.1]), line([1.0, 0.1], [1.0, 0.2]), line([0.0, 0.0], [1.0, 0.0])])
    found = walks_on_modes(walks, MODES, STD)
    assert found["interp_on_mode_across"] == pytest.approx(14 / 21)  # l = 0, ..., 0.3 and 0.7, ..., 1
    assert found["interp_on_mode"] == pytest.approx((2 + 14 / 21) / 3)
    assert walks_on_modes(walks[:2], MODES, STD) == {"interp_on_mode": 1.0}


def test_a_step_function_never_leaves_the_modes():
    walk = torch.cat([MODES[:1].expand(10, 2), MODES[1:].expand(11, 2)])
    assert walks_on_modes(walk[None], MODES, STD) == {"interp_on_mode": 1.0, "interp_on_mode_across": 1.0}


@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 2)])
def test_what_is_no_walk_is_refused(shape):
    with pytest.raises(InputError, match="allowed"):
        walks_on_modes(torch.zeros(shape), MODES, STD)
