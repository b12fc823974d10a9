import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.families import networks
from latent_ot.networks.vaegan import Critic, Encoder, Generator

SHAPES = [(1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (1, 64, 64)]
LARGE = [pytest.param((3, size, size), marks=pytest.mark.slow) for size in (128, 256)]


def count(module):
    return sum(p.numel() for p in module.parameters())


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


@pytest.mark.parametrize("shape", SHAPES + LARGE)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_shapes_and_range(shape, norm):
    torch.manual_seed(0)
    x = Generator(10, shape, width=0.1)(5 * torch.randn(8, 10))
    assert x.shape == (8, *shape)
    assert -1 <= x.min() < x.max() <= 1
    assert Critic(shape, 4, 0.1, norm)(x).shape == (8, 4)
    assert Encoder(shape, 7, width=0.1)(x).shape == (8, 7)


def test_it_is_a_family_in_the_range_of_its_head():
    generator, critic, data_range = networks("vaegan", 5, (1, 16, 16), width=0.1)
    assert data_range == (-1.0, 1.0)
    assert isinstance(list(generator)[-1], nn.Tanh)
    assert sum(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in critic.modules()) == 4


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_without_batch_norm_an_output_depends_on_its_own_image_only(norm):
    critic, x = Critic((1, 16, 16), width=0.1, norm=norm), torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]))


@pytest.mark.parametrize(("size", "kind", "shape"), [(32, nn.Conv2d, (26, 4, 4)), (28, nn.Linear, (102,))])
def test_features_are_the_raw_output_of_the_last_convolution(size, kind, shape):
    critic, x = Critic((1, size, size), width=0.1), torch.randn(3, 1, size, size)
    features = critic.features(x)
    assert features.shape == (3, *shape)
    assert isinstance(critic[critic.tap - 1], kind)
    assert isinstance(critic[critic.tap], nn.BatchNorm2d | nn.BatchNorm1d)
    assert not any(isinstance(m, nn.Conv2d) for m in list(critic)[critic.tap :])
    torch.testing.assert_close(critic.score(features), critic(x))


@pytest.mark.parametrize("shape", [(2,), (1, 36, 36), (1, 32, 28), (1, 4, 4)])
@pytest.mark.parametrize("build", [lambda s: Generator(10, s), Critic, lambda s: Encoder(s, 3)])
def test_shapes_that_do_not_fit_are_refused(build, shape):
    with pytest.raises(InputError, match=r"VAE/GAN networks: shape .* multiple of 8"):
        build(shape)


def test_unknown_norm_is_refused():
    with pytest.raises(InputError, match="critic norm of the VAE/GAN networks 'spectral'"):
        Critic((1, 32, 32), norm="spectral")
