import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.mlp_gan import Critic, Generator


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_three_layers_of_512_with_biases_and_leaky_units():
    hidden = 2 * (512 * 512 + 512)
    generator, critic = Generator(128, (1, 28, 28)), Critic((1, 28, 28))
    assert count(generator) == 128 * 512 + 512 + hidden + 512 * 784 + 784
    assert count(critic) == 784 * 512 + 512 + hidden + 512 + 1
    for net in (generator, critic):
        assert [m.negative_slope for m in net if isinstance(m, nn.LeakyReLU)] == [0.2] * 3


def test_layer_and_batch_norms_have_scale_and_shift_and_a_batch_norm_takes_the_bias():
    plain = count(Critic((1, 28, 28)))
    assert count(Critic((1, 28, 28), norm="layer")) == plain + 3 * 2 * 512
    assert count(Critic((1, 28, 28), norm="batch")) == plain + 3 * 512


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 5, 7)])
def test_shapes_and_range_at_any_size(shape):
    x = Generator(4, shape, width=0.1)(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    assert x.shape == (6, *shape)
    assert 0 < x.min() < x.max() < 1
    critic = Critic(shape, 3, width=0.1)
    assert critic(x).shape == (6, 3)
    assert nn.Sequential(*critic)[:-1](x).shape == (6, 51)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_without_batch_norm_a_score_depends_on_its_own_image_only(norm):
    critic, x = Critic((1, 8, 8), width=0.1, norm=norm), torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]))


def test_unknown_norm_is_refused():
    with pytest.raises(InputError, match=r"mlp networks.*nearest: batch"):
        Critic((1, 8, 8), norm="batchnorm")
