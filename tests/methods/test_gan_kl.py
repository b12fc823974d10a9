import pytest
import torch
from torch.nn.functional import softplus

from latent_ot.methods.gan_kl import GanKl, GanKlConfig
from latent_ot.stage import Batch, Spec


def build(rates=None, **settings):
    torch.manual_seed(0)
    config = GanKlConfig.build({"batch_size": 4, "latent_dim": 5, **settings}, "gan_kl")
    method = GanKl(config, Spec((1, 16, 16), 100, 10**4, width=0.1)).double()
    if rates is not None:
        method.configure_optimizers = lambda: [
            torch.optim.SGD(net.parameters(), lr=rate) for net, rate in zip((method.G, method.D), rates, strict=True)
        ]
    fixed = torch.randn(4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    method.noise = lambda n, d: fixed
    return method


def images(method, steps=1):
    rows, g = method.rows_per_step, torch.Generator().manual_seed(0)
    return [
        Batch(torch.arange(rows), torch.rand(rows, 1, 16, 16, generator=g, dtype=torch.float64)) for _ in range(steps)
    ]


def vectors(method):
    return {net: torch.nn.utils.parameters_to_vector(getattr(method, net).parameters()).detach() for net in "GD"}


def test_the_generators_loss_is_minus_the_mean_logit_exactly(train):
    method = build([1e-3, 0.0])
    before = vectors(method)["G"]
    logits = method.D(method.G(method.noise(4, 5)))
    gradient = torch.autograd.grad(-logits.mean(), list(method.G.parameters()))
    train(method, images(method))
    assert torch.equal(method.observed["generator"], -logits.mean().detach())
    moved = vectors(method)["G"] - before
    torch.testing.assert_close(moved, -1e-3 * torch.cat([g.flatten() for g in gradient]))
    d = torch.sigmoid(logits)
    torch.testing.assert_close(-logits.mean(), ((1 - d).log() - d.log()).mean())


def test_the_discriminators_loss_is_that_of_the_gan_in_nats(train):
    method = build([0.0, 0.0], n_critic=1)
    batch = images(method)
    real, fake = method.D(2 * batch[0].image - 1), method.D(method.G(method.noise(4, 5)))
    train(method, batch)
    expected = (softplus(-real).mean() + softplus(fake).mean()).detach()
    torch.testing.assert_close(method.observed["discriminator"], expected)
    assert method.facts() == pytest.approx({"discriminator_nats": expected.item()})
