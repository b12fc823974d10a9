import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.networks.families import networks
from latent_ot.networks.toy import Critic, Encoder, Generator


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_networks_have_the_parameters_of_the_published_table():
    middle = 2 * (512 * 512 + 512)
    assert count(Generator(5, (2,))) == 5 * 512 + 512 + middle + 512 * 2 + 2
    assert count(Critic((2,))) == 2 * 512 + 512 + middle + 512 + 1
    narrowing = 1024 * 512 + 512 + 512 * 256 + 256 + 256 * 128 + 128
    assert count(Encoder((2,), 5)) == 2 * 1024 + 1024 + narrowing + 128 * 5 + 5


@pytest.mark.parametrize("d", [1, 2, 7])
def test_shapes_at_a_quarter_of_the_width(d):
    generator, critic, data_range = networks("toy", 5, (d,), 0.25)
    x = generator(torch.randn(3, 5))
    assert x.shape == (3, d)
    assert critic(x).shape == (3, 1)
    assert critic[0].out_features == 128
    assert isinstance(critic[-1], torch.nn.Linear)
    assert Encoder((d,), 4, 0.25)(x).shape == (3, 4)
    assert data_range == (0.0, 1.0)  # points are passed on as they are


def test_images_and_norms_are_refused():
    for build in (lambda: Generator(5, (1, 8, 8)), lambda: Critic((1, 8, 8)), lambda: Encoder((1, 8, 8), 5)):
        with pytest.raises(InputError, match=r"shape \(1, 8, 8\); allowed: points"):
            build()
    with pytest.raises(InputError, match="critic norm of the toy networks 'batch'"):
        Critic((2,), norm="batch")
