import math

import pytest
import torch

from latent_ot.metrics.modes import mode_coverage

RING = torch.tensor([[math.cos(a), math.sin(a)] for a in torch.linspace(0, 2 * math.pi, 9)[:8]], dtype=torch.float64)


def mixture(n, modes, std, seed=0):
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return modes[torch.arange(n) % len(modes)] + std * noise


def test_the_mixture_itself_covers_all_modes_with_all_but_a_hundredth_of_its_points():
    found = mode_coverage(mixture(20_000, RING, 0.02), RING, 0.02)
    assert found["modes"] == 8
    assert found["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=3e-3)


@pytest.mark.parametrize("kept", [1, 5])
def test_dropped_modes_are_not_counted(kept):
    assert mode_coverage(mixture(1000, RING[:kept], 0.02), RING, 0.02)["modes"] == kept


@pytest.mark.parametrize(("on_second", "modes"), [(25, 2), (24, 1)])
def test_a_mode_counts_from_one_in_twenty_k_of_the_points_on(on_second, modes):
    points = torch.cat([RING[:1].repeat(1000 - on_second, 1), RING[1:2].repeat(on_second, 1)])
    assert mode_coverage(points, RING[:2], 0.02)["modes"] == modes


def test_points_between_modes_are_of_low_quality():
    assert mode_coverage(torch.zeros(10, 2), RING, 0.02) == {"modes": 0, "high_quality": 0.0}
