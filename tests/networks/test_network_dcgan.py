import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.dcgan import Critic, Generator

WEIGHTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
BIG = [pytest.param(size, marks=pytest.mark.slow) for size in (128, 256)]


def count(module):
    return sum(p.numel() for p in module.parameters())


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


@pytest.mark.parametrize("size", [8, 16, 32, 64, *BIG])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(size, channels):
    torch.manual_seed(0)
    shape = (channels, size, size)
    x = Generator(10, shape, width=0.1)(torch.randn(3, 10))
    assert x.shape == (3, *shape)
    assert -1 <= x.min() < -0.1 < 0.1 < x.max() <= 1
    critic = Critic(shape, 7, width=0.1)
    assert critic(x).shape == (3, 7)
    assert nn.Sequential(*critic)[:-2](x).shape[2:] == (4, 4)
    assert isinstance(critic[-1], nn.Linear)


@pytest.mark.parametrize(("norm", "slope"), [("batch", 0.2), ("none", 0.2), ("layer", 0.0)])
def test_the_norm_chooses_the_units_of_the_critic(norm, slope):
    assert {m.negative_slope for m in Critic((1, 16, 16), width=0.1, norm=norm) if isinstance(m, nn.LeakyReLU)} == {
        slope
    }


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_without_batch_norm_a_score_depends_on_its_own_image_only(norm):
    critic, x = Critic((1, 16, 16), width=0.1, norm=norm), torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]))


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


@pytest.mark.parametrize("shape", [(2,), (1, 48, 48), (1, 32, 64), (1, 4, 4), (2, 32, 32)])
def test_shapes_that_do_not_fit_are_refused(shape):
    for build in (lambda: Generator(5, shape), lambda: Critic(shape)):
        with pytest.raises(InputError, match=r"dcgan networks: shape .* allowed"):
            build()


def test_unknown_norm_is_refused():
    with pytest.raises(InputError, match=r"dcgan networks.*nearest: layer"):
        Critic((1, 16, 16), norm="layernorm")
