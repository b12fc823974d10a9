"""CMMD against its definition, summed in float64, and against closed forms."""

import math

import pytest
import torch
from driving import normal

from latent_ot.errors import InputError, TooFew
from latent_ot.metrics import pairwise
from latent_ot.metrics.cmmd import cmmd


def defined(x, y):
    """1,000 times the mean kernel within each set, pairs with itself included, less twice that between them."""
    x, y = (side.double() / side.double().norm(dim=1, keepdim=True) for side in (x, y))

    def mean(a, b):
        return torch.exp(-(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") ** 2) / 200).mean()

    return float(1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y)))


@pytest.mark.parametrize("width", [6, 600])
def test_it_is_what_it_is_defined_as_whatever_the_tiles(width, monkeypatch):
    x, y = normal(50, width), normal(33, width, 1) + 0.5
    monkeypatch.setattr(pairwise, "TILE", 16)
    assert cmmd(x, y) == pytest.approx(defined(x, y), rel=1e-5)


def test_sets_at_two_points_have_the_closed_form():
    """Both at unit length, an angle apart: 2 (1 - exp(-|x - y|^2 / 200)) times 1,000."""
    for angle in (0.0, 0.3, math.pi / 2, math.pi):
        x = torch.tensor([[2.0, 0.0]]).repeat(5, 1)
        y = torch.tensor([[3 * math.cos(angle), 3 * math.sin(angle)]], dtype=torch.float64).repeat(7, 1)
        expected = 2000 * (1 - math.exp(-(2 - 2 * math.cos(angle)) / 200))
        assert cmmd(x.double(), y) == pytest.approx(expected, abs=1e-9)


def test_lengths_do_not_count_and_a_set_is_at_no_distance_from_itself():
    x, y = normal(40, 8), normal(40, 8, 1)
    assert cmmd(x, x) == pytest.approx(0, abs=1e-9)
    assert cmmd(3 * x, y * torch.linspace(1, 9, 40)[:, None]) == pytest.approx(cmmd(x, y), rel=1e-6)
    assert cmmd(y, x) == pytest.approx(cmmd(x, y), rel=1e-9)


def test_what_cannot_be_measured_is_one_line():
    with pytest.raises(TooFew, match="1 samples; allowed: 2 or more"):
        cmmd(normal(1, 3), normal(5, 3))
    with pytest.raises(InputError, match="allowed: equally many"):
        cmmd(normal(5, 3), normal(5, 4))
