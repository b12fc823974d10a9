import itertools

import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.families import networks
from latent_ot.networks.iwgan_celeba import CelebaCritic, CelebaEncoder, CelebaGenerator, MeanMap
from latent_ot.networks.iwgan_mnist import MnistEncoder

FAMILIES = ["iwgan_mnist", "iwgan_celeba"]


def test_mnist_networks_have_the_parameters_of_the_published_table():
    generator, critic, _ = networks("iwgan_mnist", 8, (1, 32, 32))
    start = 8 * 4 * 4 * 512 + 4 * 4 * 512
    up = 512 * 256 * 4**2 + 256 + 256 * 128 * 4**2 + 128 + 128 * 1 * 4**2 + 1
    assert count(generator) == start + up
    down = 1 * 128 * 4**2 + 128 + 128 * 256 * 4**2 + 256 + 256 * 512 * 4**2 + 512
    assert count(critic) == down + 4 * 4 * 512 * 1 + 1
    assert count(MnistEncoder((1, 32, 32), 8)) == down + 4 * 4 * 512 * 8 + 8


def test_celeba_networks_have_the_parameters_of_the_published_table():
    shape = (3, 64, 64)
    start = 64 * 4 * 4 * 1024 + 4 * 4 * 1024
    up = 1024 * 512 * 4**2 + 512 * 256 * 4**2 + 256 * 128 * 4**2 + 128 * 3 * 4**2 + 3
    assert count(CelebaGenerator(64, shape)) == start + up + 2 * (512 + 256 + 128)  # scale and shift of the norms
    down = 3 * 128 * 4**2 + 128 + 128 * 256 * 4**2 + 256 * 512 * 4**2  # the instance norms have neither
    assert count(CelebaCritic(shape)) == count(CelebaEncoder(shape, 64)) == down + 512 * 1 * 3**2 + 1


def test_the_celeba_code_is_the_last_map_and_the_critic_its_mean():
    x = torch.randn(2, 3, 64, 64)
    encoder, critic = CelebaEncoder((3, 64, 64), 64, 0.05), CelebaCritic((3, 64, 64), 1, 0.05)
    assert nn.Sequential(*list(encoder)[:-1])(x).shape == (2, 1, 8, 8)
    critic.load_state_dict({k: v for k, v in encoder.state_dict().items() if k in critic.state_dict()})
    torch.testing.assert_close(critic(x)[:, 0], encoder(x).mean(dim=1))
    assert isinstance(critic[-1], MeanMap)
    features, last = nn.Sequential(*list(critic)[:-1])(x), critic[-1]
    torch.testing.assert_close(last(2 * features) - last(features), last(features) - last.bias)  # it is linear


@pytest.mark.parametrize("family", FAMILIES)
def test_the_published_range_is_reached(family):
    generator, _, (low, high) = networks(family, 4, (1, 8, 8), 0.05)
    x = generator(1e4 * torch.randn(8, 4)).detach()
    assert x.min() < low + 0.05
    assert x.max() > high - 0.05


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_layers_before_a_norm_that_centres_have_no_bias(family, norm):
    layers = list(networks(family, 4, (3, 32, 32), 0.1, norm).critic)
    pairs = [(a, b) for a, b in itertools.pairwise(layers) if isinstance(a, nn.Conv2d)]
    assert [a.bias is None for a, _ in pairs] == [isinstance(b, nn.BatchNorm2d | nn.InstanceNorm2d) for _, b in pairs]
    assert any(a.bias is None for a, _ in pairs)
