from driving import count

from latent_ot.networks.families import networks
from latent_ot.networks.toy import Critic, Encoder, Generator


def test_networks_have_the_parameters_of_the_published_table():
    middle = 2 * (512 * 512 + 512)
    assert count(Generator(5, (2,))) == 5 * 512 + 512 + middle + 512 * 2 + 2
    assert count(Critic((2,))) == 2 * 512 + 512 + middle + 512 + 1
    narrowing = 1024 * 512 + 512 + 512 * 256 + 256 + 256 * 128 + 128
    assert count(Encoder((2,), 5)) == 2 * 1024 + 1024 + narrowing + 128 * 5 + 5


def test_widths_are_scaled_and_points_are_passed_on_as_they_are():
    _, critic, data_range = networks("toy", 5, (2,), 0.25)
    assert critic[0].out_features == 128
    assert data_range == (0.0, 1.0)
