import pytest
import torch
from driving import count
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.families import networks
from latent_ot.networks.sdkl import Critic, Encoder, Generator


def convolutions(channels):
    kernels = 16 * (channels * 64 + 64 * 128 + 128 * 256 + 256 * 256) + 256 * 512 * 9
    return kernels + 64 + 128 + 256 + 256 + 512


@pytest.mark.parametrize(("channels", "size"), [(3, 64), (1, 32)])
def test_parameters_of_the_published_layers(channels, size):
    shape, d, last, first = (channels, size, size), 128, (size // 16) ** 2, (size // 8) ** 2
    encoder = convolutions(channels) + 512 * last * 1024 + 1024 + 1024 * 2 * d + 2 * d
    critic = convolutions(channels) + 512 * last * 512 + 512 + 512 * 128 + 128 + 128 + 1
    dense = d * 1024 + 1024 + 1024 * 256 * first + 256 * first
    deconvolutions = 256 * 256 * 16 + 256 + 128 * 128 * 16 + 128 + 128 * 64 * 16 + 64
    generator = dense + deconvolutions + 256 * 128 * 9 + 128 + 64 * channels * 25 + channels
    assert [count(Encoder(shape, 2 * d)), count(Critic(shape)), count(Generator(d, shape))] == [
        encoder,
        critic,
        generator,
    ]


def test_it_is_a_family_without_normalisation_in_the_range_of_its_head():
    generator, critic, data_range = networks("sdkl", 5, (1, 16, 16), width=0.1, norm="none")
    assert data_range == (-1.0, 1.0)
    assert isinstance(list(generator)[-1], nn.Tanh)
    assert not any("Norm" in type(m).__name__ for net in (generator, critic) for m in net.modules())
    with pytest.raises(InputError, match="critic norm of the SDKL networks"):
        networks("sdkl", 5, (1, 16, 16), norm="batch")


def test_features_are_the_raw_output_of_the_second_convolution():
    critic, x = Critic((1, 16, 16), width=0.1), torch.randn(3, 1, 16, 16)
    layers = list(critic)
    features = critic.features(x)
    assert torch.equal(features, layers[2](layers[1](layers[0](x))))
    assert features.shape == (3, 13, 4, 4)
    assert torch.equal(critic.score(features), critic(x))
    assert torch.equal(critic[-1](critic[:-1](x)), critic(x))
    assert type(critic[:-1]) is nn.Sequential


def test_a_size_that_8_does_not_divide_is_made_4_pixels_too_large_and_trimmed():
    x = torch.randn(2, 10)
    for layer in list(Generator(10, (1, 28, 28), width=0.1))[:-2]:
        x = layer(x)
    assert x.shape == (2, 6, 32, 32)
