import pytest
import torch
from driving import assert_slopes
from torch import nn

from latent_ot.losses.orthogonal import orthogonality


def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ELU(), nn.Flatten(), nn.Linear(24, 4), nn.ELU(), nn.Linear(4, 1)
    ).double()
    for layer in (net[0], net[3], net[5]):
        nn.init.orthogonal_(layer.weight)
    return net


def test_orthonormal_rows_cost_nothing_whatever_the_biases():
    net = network()
    nn.init.ones_(net[0].bias)
    assert orthogonality(net).item() == pytest.approx(0, abs=1e-12)


def test_scaled_rows_cost_the_excess_of_their_squared_lengths():
    net = network()
    with torch.no_grad():
        net[0].weight.mul_(2)
        net[5].weight.mul_(0.5)
    assert orthogonality(net).item() == pytest.approx(6 * (4 - 1) + 1 * (1 - 0.25))


def test_equal_rows_cost_both_products():
    net = network()
    with torch.no_grad():
        net[3].weight[1] = net[3].weight[0]
    assert orthogonality(net).item() == pytest.approx(2)


def test_its_gradient_is_that_of_finite_differences():
    layer = nn.Linear(5, 3, bias=False).double()
    assert_slopes(lambda: orthogonality(layer), [layer.weight], rel=1e-6)
