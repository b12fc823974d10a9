import copy

import pytest
import torch

from latent_ot.losses.gradient_penalty import gradient_norms
from latent_ot.methods.wgan_div import WganDiv, WganDivConfig
from latent_ot.stage import Spec

NETWORKS = ["infogan", "dcgan", "wgan_div_resnet"]


def build(shape=(1, 16, 16), **settings):
    torch.manual_seed(0)
    config = WganDivConfig(**{"batch_size": 4, "latent_dim": 5, **settings})
    return WganDiv(config, Spec(shape, 100, 10**4, width=0.1))


def inputs(net):
    seen = []
    net.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    return seen


@pytest.mark.parametrize("network", NETWORKS)
def test_one_outer_step_descends_the_two_objectives_of_algorithm_1(network, train, blobs):
    method = build(network=network, n_critic=1, k=3.0, p=4.0)
    rate = 1e-3
    method.configure_optimizers = lambda: [torch.optim.SGD(net.parameters(), lr=rate) for net in (method.G, method.f)]
    f0, G0 = copy.deepcopy(method.f), copy.deepcopy(method.G)
    seen, codes = inputs(method.f), inputs(method.G)
    train(method, blobs(1, 4))
    real, fake, between, _ = seen

    loss = f0(real).mean() - f0(fake).mean() + 3 * gradient_norms(f0, between).pow(4).mean()
    for before, after, slope in zip(
        f0.parameters(), method.f.parameters(), torch.autograd.grad(loss, f0.parameters()), strict=True
    ):
        torch.testing.assert_close(after, before - rate * slope)
    loss = method.f(G0(codes[1])).mean()
    for before, after, slope in zip(
        G0.parameters(), method.G.parameters(), torch.autograd.grad(loss, G0.parameters()), strict=True
    ):
        torch.testing.assert_close(after, before - rate * slope)

    mix = (between - fake).flatten(1).norm(dim=1) + (real - between).flatten(1).norm(dim=1)
    torch.testing.assert_close(mix, (real - fake).flatten(1).norm(dim=1))  # each lies on its pair's segment
    assert method.observed["distance"].item() == pytest.approx((f0(fake).mean() - f0(real).mean()).item(), rel=1e-4)


def test_colour_images_have_the_resnet():
    for shape in [(3, 32, 32), (3, 64, 64)]:
        config = WganDivConfig(**WganDiv.defaults(shape, {}))
        assert config.network == "wgan_div_resnet"
        assert build(shape, network=config.network).data_range == (-1, 1)
