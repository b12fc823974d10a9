from driving import count
from torch import nn

from latent_ot.networks.mlp_gan import Critic, Generator


def test_three_layers_of_512_with_biases_and_leaky_units():
    hidden = 2 * (512 * 512 + 512)
    generator, critic = Generator(128, (1, 28, 28)), Critic((1, 28, 28))
    assert count(generator) == 128 * 512 + 512 + hidden + 512 * 784 + 784
    assert count(critic) == 784 * 512 + 512 + hidden + 512 + 1
    for net in (generator, critic):
        assert [m.negative_slope for m in net if isinstance(m, nn.LeakyReLU)] == [0.2] * 3
    assert [m.out_features for m in Critic((1, 5, 7), 3, 0.1) if isinstance(m, nn.Linear)] == [51] * 3 + [3]


def test_layer_and_batch_norms_have_scale_and_shift_and_a_batch_norm_takes_the_bias():
    plain = count(Critic((1, 28, 28)))
    assert count(Critic((1, 28, 28), norm="layer")) == plain + 3 * 2 * 512
    assert count(Critic((1, 28, 28), norm="batch")) == plain + 3 * 512
