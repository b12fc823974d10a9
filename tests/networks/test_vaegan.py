import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.families import networks
from latent_ot.networks.vaegan import Critic, Encoder, Generator


@pytest.mark.parametrize(("channels", "size", "middle"), [(3, 64, 256), (1, 32, 192)])
def test_parameters_of_the_published_layers(channels, size, middle):
    shape, d, last = (channels, size, size), 128, 256 * (size // 8) ** 2
    encoder = channels * 64 * 25 + 64 * 128 * 25 + 128 * 256 * 25 + last * 1024 + 2 * (64 + 128 + 256 + 1024)
    encoder += 1024 * 2 * d + 2 * d
    generator = d * last + 256 * middle * 25 + middle * 128 * 25 + 128 * 32 * 25 + 2 * (last + middle + 128 + 32)
    generator += 32 * channels * 25 + channels
    critic = channels * 32 * 25 + 32 + 32 * 128 * 25 + 128 * middle * 25 + middle * 256 * 25
    critic += last * 512 + 2 * (128 + middle + 256 + 512) + 512 + 1
    assert count(Encoder(shape, 2 * d)) == encoder
    assert count(Generator(d, shape)) == generator
    assert count(Critic(shape)) == critic
    assert count(Critic(shape, norm="none")) == critic - (128 + middle + 256 + 512)  # a bias for a scale and a shift


def test_parameters_of_the_fully_connected_networks_of_digits():
    shape, d, norms = (1, 28, 28), 32, 2 * (1024 + 1024)
    assert count(Encoder(shape, 2 * d)) == 784 * 1024 + 1024 * 1024 + norms + 1024 * 2 * d + 2 * d
    assert count(Generator(d, shape)) == d * 1024 + 1024 * 1024 + norms + 1024 * 784 + 784
    assert count(Critic(shape)) == 784 * 1024 + 1024 * 1024 + norms + 1024 + 1


def test_it_is_a_family_in_the_range_of_its_head():
    generator, critic, data_range = networks("vaegan", 5, (1, 16, 16), width=0.1)
    assert data_range == (-1.0, 1.0)
    assert isinstance(list(generator)[-1], nn.Tanh)
    assert sum(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in critic.modules()) == 4


@pytest.mark.parametrize(("size", "kind", "shape"), [(32, nn.Conv2d, (26, 4, 4)), (28, nn.Linear, (102,))])
def test_features_are_the_raw_output_of_the_last_convolution(size, kind, shape):
    critic, x = Critic((1, size, size), width=0.1), torch.randn(3, 1, size, size)
    features = critic.features(x)
    assert features.shape == (3, *shape)
    assert isinstance(critic[critic.tap - 1], kind)
    assert isinstance(critic[critic.tap], nn.BatchNorm2d | nn.BatchNorm1d)
    assert not any(isinstance(m, nn.Conv2d) for m in list(critic)[critic.tap :])
    torch.testing.assert_close(critic.score(features), critic(x))
