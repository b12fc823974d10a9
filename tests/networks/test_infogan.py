import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.infogan import Encoder, Generator, doublings, init_normal


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (1, 32), (3, 32), (3, 64)])
def test_generator_has_the_parameters_of_the_published_table(channels, size):
    d, side = 100, size // 4
    dense = d * 1024 + 1024 * 128 * side**2
    deconvolutions = (
        128 * 64 * 4 * 4 + 64 * channels * 4 * 4 + channels
    )  # only the last layer, without a norm, has a bias
    norms = 2 * (1024 + 128 * side**2 + 64)
    assert count(Generator(d, (channels, size, size))) == dense + deconvolutions + norms


def test_discriminator_has_the_parameters_of_the_published_table():
    convolutions = 3 * 64 * 16 + 64 + 64 * 128 * 16
    dense = 128 * 8 * 8 * 1024 + 1024 * 1 + 1
    norms = 2 * (128 + 1024)
    assert count(Encoder((3, 32, 32), 1)) == convolutions + dense + norms
    assert count(Encoder((3, 32, 32), 1, norm="none")) == convolutions + dense + 128 + 1024


def test_feature_maps_have_the_sizes_of_the_published_table():
    sizes, x = [], torch.randn(2, 100)
    for layer in Generator(100, (3, 32, 32)):
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[0] == (1024,)
    assert sizes[3] == (128 * 8 * 8,)
    assert sizes[6:] == [(128, 8, 8), (64, 16, 16), (64, 16, 16), (64, 16, 16), (3, 32, 32), (3, 32, 32)]


def test_init_normal_sets_weights_only():
    net = init_normal(nn.Sequential(nn.Linear(200, 200), nn.BatchNorm1d(200), nn.Conv2d(64, 64, 3)), 0.01)
    for layer in (net[0], net[2]):
        assert layer.weight.detach().std() == pytest.approx(0.01, rel=0.05)
        assert not layer.bias.any()
    assert (net[1].weight == 1).all()


def test_doublings():
    assert [doublings((1, 4 * 2**k, 4 * 2**k), "any") for k in range(1, 8)] == list(range(1, 8))
