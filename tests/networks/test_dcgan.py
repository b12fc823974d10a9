import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.dcgan import Critic, Generator

WEIGHTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_64_pixels_parameters_are_those_of_the_published_table(channels):
    ladder = 25 * (512 * 256 + 256 * 128 + 128 * 64)
    generator_norms, critic_norms = 2 * (512 + 256 + 128 + 64), 2 * (128 + 256 + 512)
    image = 64 * channels * 25
    assert count(Generator(128, (channels, 64, 64))) == 128 * 512 * 16 + ladder + image + channels + generator_norms
    critic = image + 64 + ladder + 512 * 16 + 1
    shape = (channels, 64, 64)
    assert count(Critic(shape, norm="batch")) == critic + critic_norms
    assert count(Critic(shape, norm="none")) == critic + 128 + 256 + 512
    assert count(Critic(shape, norm="layer")) == critic + 128 + 256 + 512 + critic_norms


def test_at_32_pixels_there_is_one_layer_less_and_at_128_none_is_wider():
    with torch.device("meta"):
        generator, critic = Generator(128, (3, 32, 32)), Critic((3, 32, 32))
        larger = Generator(128, (3, 128, 128))
    ladder = 25 * (256 * 128 + 128 * 64)
    assert count(generator) == 128 * 256 * 16 + ladder + 64 * 3 * 25 + 3 + 2 * (256 + 128 + 64)
    assert count(critic) == 3 * 64 * 25 + 64 + ladder + 2 * (128 + 256) + 256 * 16 + 1
    assert [m.in_channels for m in larger if isinstance(m, nn.ConvTranspose2d)] == [512, 512, 256, 128, 64]


@pytest.mark.parametrize(("norm", "slope"), [("batch", 0.2), ("none", 0.2), ("layer", 0.0)])
def test_the_norm_chooses_the_units_of_the_critic(norm, slope):
    assert {m.negative_slope for m in Critic((1, 16, 16), width=0.1, norm=norm) if isinstance(m, nn.LeakyReLU)} == {
        slope
    }


def test_batch_normalisation_everywhere_but_at_the_image_and_the_score():
    kinds = [type(m) for m in Generator(5, (1, 32, 32), width=0.1) if isinstance(m, (*WEIGHTS, nn.BatchNorm2d))]
    up, down, norm = nn.ConvTranspose2d, nn.Conv2d, nn.BatchNorm2d
    assert kinds == [nn.Linear, norm, up, norm, up, norm, up]
    kinds = [type(m) for m in Critic((1, 32, 32), width=0.1) if isinstance(m, (*WEIGHTS, norm))]
    assert kinds == [down, down, norm, down, norm, nn.Linear]


def test_initial_weights_have_the_published_deviation():
    for net in (Generator(128, (3, 32, 32)), Critic((3, 32, 32))):
        weights = torch.cat([m.weight.flatten() for m in net if isinstance(m, WEIGHTS)])
        assert weights.std().item() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_the_last_maps_of_the_critic_have_4_by_4_pixels(size):
    critic = Critic((1, size, size), 7, width=0.1)
    assert nn.Sequential(*critic)[:-2](torch.rand(3, 1, size, size)).shape[2:] == (4, 4)
