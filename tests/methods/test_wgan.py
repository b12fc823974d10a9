import pytest
import torch
from driving import record_updates
from torch import nn

from latent_ot.methods.wgan import Wgan, WganConfig
from latent_ot.stage import Spec

SHORT = {"long_first": 0, "long_every": 10**6, "long_n_critic": 1}


def build(images=10**4, **settings):
    torch.manual_seed(0)
    config = WganConfig(**{"batch_size": 4, "latent_dim": 5, "n_critic": 2, **settings})
    return Wgan(config, Spec((1, 16, 16), 100, images, width=0.1))


def looks(method):
    """Return a list that training fills: the critic's input and the largest of its parameters, at each forward."""
    seen = []
    method.f.register_forward_pre_hook(
        lambda module, args: seen.append(
            (args[0].detach().clone(), max(p.abs().max().item() for p in module.parameters()))
        )
    )
    return seen


@pytest.mark.parametrize("network", ["mlp", "infogan", "dcgan"])
def test_after_every_critic_step_all_its_parameters_are_within_the_bound(network, train, blobs):
    method = build(network=network, lr=1e-3, **SHORT)
    seen = looks(method)
    train(method, blobs(2, 8))
    bounds = [bound for _, bound in seen]
    assert min(bounds[:2]) > 0.01  # of initial weights, at the first step's two looks
    assert max(bounds[2:]) <= 0.01
    assert all(p.abs().max() <= 0.01 for p in method.f.parameters())
    assert any(p.abs().max() > 0.011 for p in method.G.parameters())


def test_critic_steps_follow_the_release_and_each_step_moves_one_network(train, blobs):
    method = build(long_first=2, long_every=4, long_n_critic=5)
    moves = record_updates(method)
    train(method, blobs(6, method.rows_per_step))
    phases = [5, 5, 2, 2, 5, 2]
    assert moves == [move for n in phases for move in [("critic", {"f"})] * n + [("generator", {"G"})]]
    assert method.updates == {"critic": sum(phases), "generator": 6}
    assert WganConfig().model_dump().items() >= {"long_first": 25, "long_every": 500, "long_n_critic": 100}.items()


def test_a_long_phase_draws_no_more_images_than_a_short_one(train, blobs):
    method = build(long_first=1, long_n_critic=5, init_std=0.3)
    assert method.rows_per_step == 8
    assert method.total_steps * method.rows_per_step <= method.spec.images
    seen, batch = looks(method), blobs(1, 8)
    batch[0].image.copy_(torch.rand(8, 1, 16, 16))
    train(method, batch)
    real, fake = [x for x, _ in seen[0:10:2]], [x for x, _ in seen[1:11:2]]
    first, second = batch[0].image.chunk(2)
    for x, expected in zip(real, [first, second, first, second, first], strict=True):
        assert torch.equal(x, expected)
    assert len({x.sum().item() for x in fake}) == 5  # fresh noise each time
    assert method.images_seen == 8


def test_a_linear_critic_ends_at_the_corner_that_tells_most(train, blobs):
    """max over |w_i| <= c of E w.x - E w.G(z) is c ||E x - E G(z)||_1."""
    method = build(network="mlp", n_critic=1, batch_size=32, lr=5e-3, **SHORT)
    method.f = nn.Sequential(nn.Flatten(), nn.Linear(256, 1, bias=False))
    nn.init.zeros_(method.f[1].weight)
    method.G.eval().requires_grad_(False)
    black = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (5, 1, 1)), nn.Conv2d(5, 1, 1), nn.Upsample(scale_factor=16))
    method.G = black
    for parameter in black.parameters():
        nn.init.zeros_(parameter)
    method.configure_optimizers = lambda: [
        torch.optim.SGD(method.G.parameters(), lr=0.0),
        torch.optim.RMSprop(method.f.parameters(), lr=5e-3),
    ]
    (batch,) = blobs(1, 32)
    train(method, [batch] * 20)
    mean = batch.image.mean(0)
    assert method.observed["distance"].item() == pytest.approx(0.01 * mean.sum().item(), rel=1e-4)
    torch.testing.assert_close(method.f[1].weight.detach().view(16, 16), 0.01 * (mean[0] > 0))
    assert method.facts()["clipped"] == pytest.approx((mean > 0).float().mean().item())


def test_the_generator_moves_up_the_critic(train, blobs):
    method = build(network="mlp", **SHORT)
    method.configure_optimizers = lambda: [
        torch.optim.SGD(method.G.parameters(), lr=1.0),
        torch.optim.SGD(method.f.parameters(), lr=0.0),
    ]
    with torch.no_grad():
        for parameter in method.f.parameters():
            parameter.copy_(torch.rand_like(parameter) / 100)
        z = torch.randn(500, 5)
        before = method.f(method.G(z)).mean()
    train(method, blobs(1, 8))
    assert method.f(method.G(z)).mean() > before


def test_a_network_moves_by_root_mean_square_propagation():
    rates = [(type(o), o.param_groups[0]["lr"]) for o in build().configure_optimizers()]
    assert rates == [(torch.optim.RMSprop, 5e-5)] * 2
