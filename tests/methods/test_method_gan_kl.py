import pytest
import torch
from torch.nn.functional import softplus

from latent_ot.errors import InputError
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


@pytest.mark.parametrize("n", [1, 3])
def test_n_discriminator_steps_on_images_of_their_own_to_a_generator_step_on_none(n, train):
    method, seen = build(n_critic=n), []
    assert method.rows_per_step == 4 * n
    batches = images(method, 2)
    method.D[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batches)
    assert method.updates == {"discriminator": 2 * n, "generator": 2}
    assert method.images_seen == 8 * n
    assert torch.equal(torch.cat(seen[0 : 2 * n : 2]), 2 * batches[0].image - 1)
    assert len(seen) == 2 * (2 * n + 1)


@pytest.mark.parametrize("which", ["G", "D"])
def test_each_step_moves_its_own_network_only(which, train):
    method = build([0.1 * (which == net) for net in "GD"])
    before = vectors(method)
    train(method, images(method))
    after = vectors(method)
    assert [not torch.equal(before[net], after[net]) for net in "GD"] == [which == net for net in "GD"]


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


@pytest.mark.parametrize("settings", [{"n_critic": 0}, {"sigma": 1.0}, {"network": "sdk"}])
def test_impossible_settings_are_one_line(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        build(**settings)
