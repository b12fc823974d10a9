import pytest
import torch
from torch import nn

from latent_ot.losses.consistency import consistency
from latent_ot.methods.ctgan import Ctgan, CtganConfig, with_dropout
from latent_ot.methods.wgan_gp import WganGp, WganGpConfig
from latent_ot.networks.families import networks
from latent_ot.networks.wgan_div_resnet import Residual
from latent_ot.seeding import derive, seed_layers
from latent_ot.stage import Spec

SMALL = {"batch_size": 4, "latent_dim": 5}


def build(shape=(1, 16, 16), stage=Ctgan, config=CtganConfig, **settings):
    torch.manual_seed(0)
    return stage(config(**SMALL, **settings), Spec(shape, 100, 10**4, width=0.1))


@pytest.mark.parametrize("network", ["infogan", "dcgan"])
def test_dropout_stands_behind_the_last_three_activations(network):
    critic = networks(network, 5, (1, 64, 64), 0.05, "none").critic
    layers = list(with_dropout(critic, (0.1, 0.2, 0.3)))
    places = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert [layers[i].p for i in places] == [0.1, 0.2, 0.3]
    assert all(isinstance(layers[i - 1], nn.LeakyReLU) for i in places)
    assert [layer for layer in layers if not isinstance(layer, nn.Dropout)] == list(critic)
    after = layers[places[-1] + 1 :]
    assert not any(isinstance(layer, nn.LeakyReLU | nn.Conv2d) for layer in after)


def test_in_a_residual_critic_it_stands_behind_the_last_three_blocks():
    layers = list(with_dropout(networks("sngan_resnet", 5, (3, 32, 32), 0.05, "none").critic, (0.2, 0.5, 0.5)))
    kinds = [type(layer) for layer in layers[:7]]
    assert kinds == [Residual, Residual, nn.Dropout, Residual, nn.Dropout, Residual, nn.Dropout]
    assert layers[2].p == 0.2


def test_without_dropout_it_is_wgan_gp_to_the_last_bit(train, blobs):
    plain, off = build(stage=WganGp, config=WganGpConfig), build(dropout=(0, 0, 0))
    for method in (plain, off):
        train(method, blobs(2, method.rows_per_step))
    assert off.observed.pop("consistency").item() == 0
    assert off.observed == plain.observed
    assert all(torch.equal(a, b) for a, b in zip(off.parameters(), plain.parameters(), strict=True))
    assert off.updates == plain.updates == {"critic": 10, "generator": 2}


def test_the_critic_descends_the_consistency_of_two_looks_at_the_real_images(train, blobs):
    rate, batches, start = 1e-2, blobs(1, 4), build()
    off, on = (build(n_critic=1, consistency=weight) for weight in (0.0, 2.0))
    for method in (off, on):
        method.configure_optimizers = lambda m=method: [torch.optim.SGD(n.parameters(), lr=rate) for n in (m.G, m.f)]
        train(method, batches)
    seed_layers(derive(0, "layers", 0))  # as the step does
    ct = consistency(start.look(batches[0].image), start.look(batches[0].image))
    assert ct > 0
    torch.testing.assert_close(on.observed["consistency"], ct.detach())
    slopes = torch.autograd.grad(ct, start.f.parameters(), allow_unused=True)
    assert slopes[-1] is None or not slopes[-1].any()  # a bias of the score is in both looks
    for slope, without, with_term in zip(slopes[:-1], off.f.parameters(), on.f.parameters(), strict=False):
        torch.testing.assert_close(without - with_term, rate * slope, atol=2e-7, rtol=1e-3)


def test_dropout_is_on_in_every_pass_of_the_critic(train, blobs):
    method, on = build(n_critic=3), []
    dropout = next(layer for layer in method.f if isinstance(layer, nn.Dropout))
    dropout.register_forward_hook(lambda module, args, out: on.append(bool((out[args[0] != 0] == 0).any())))
    train(method, blobs(1, method.rows_per_step))
    assert on == [True] * (3 * 4 + 1)  # two looks, generated and between for each critic step, then the generator's
    with torch.no_grad():
        assert torch.equal(*(method.eval().look(blobs(1, 4)[0].image)[0] for _ in range(2)))
