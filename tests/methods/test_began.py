import pytest
import torch
from torch import nn

from latent_ot.methods.began import Began, BeganConfig, balance
from latent_ot.seeding import generator
from latent_ot.stage import Spec


def build(steps=1000, **settings):
    torch.manual_seed(0)
    config = BeganConfig.build({"batch_size": 4, "latent_dim": 5, "filters": 4, **settings}, "began")
    return Began(config, Spec((1, 16, 16), 40, steps * config.batch_size))


def test_the_measure_of_convergence_in_closed_form():
    gap, measure = balance(torch.tensor(0.8), torch.tensor(0.1), 0.5)
    assert gap == pytest.approx(0.3)
    assert measure == pytest.approx(1.1)
    gap, measure = balance(torch.tensor(0.8), torch.tensor(0.7), 0.5)
    assert gap == pytest.approx(-0.3)
    assert measure == pytest.approx(1.1)
    assert balance(torch.tensor(0.8), torch.tensor(0.4), 0.5)[1] == pytest.approx(0.8)  # at the equilibrium L(x) alone


def test_the_error_is_the_mean_absolute_one_and_its_gradient_goes_both_ways():
    class Shrink(nn.Module):
        def forward(self, x):
            return 0.25 * x

    method, v = build(), torch.randn(3, 1, 16, 16, requires_grad=True)
    method.D = Shrink()
    error = method.error(v)
    torch.testing.assert_close(error, 0.75 * v.abs().mean())
    (gradient,) = torch.autograd.grad(error, v)
    torch.testing.assert_close(gradient, 0.75 * v.sign() / v.numel())


@pytest.mark.parametrize(("gamma", "k_rate"), [(0.5, 1e-3), (0.0, 0.3), (1.0, 0.3), (0.5, 50.0)])
def test_k_stays_in_its_range_and_rises_exactly_where_generated_images_are_too_easy(gamma, k_rate, train, blobs):
    method, seen = build(gamma=gamma, k_rate=k_rate / 500), []  # a run of 1,000 steps, not 500,000
    method.after_step = lambda: seen.append({k: v.clone() for k, v in method.observed.items()})
    before = method.k.clone()
    assert before == 0
    train(method, blobs(12, 4))
    for step in seen:
        gap = gamma * step["reconstruction"] - step["generator"]
        assert 0 <= step["k"] <= 1
        torch.testing.assert_close(step["k"], (before + k_rate * gap).clamp(0, 1))
        assert (step["k"] > before) == (gap > 0 and before < 1)
        torch.testing.assert_close(step["convergence"], step["reconstruction"] + gap.abs())
        before = step["k"]
    if k_rate == 50:
        assert {0.0, 1.0} & {step["k"].item() for step in seen}


def test_the_critic_weighs_generated_images_by_k(train, blobs):
    method, (batch,) = build(), blobs(1, 4)
    method.k.fill_(0.3)
    with torch.no_grad():
        z = method.sample_latent(4, generator(0, "step", 0))
        expected = method.error(2 * batch.image - 1) - 0.3 * method.error(method.G(z))
    train(method, [batch])
    torch.testing.assert_close(method.observed["discriminator"], expected)


def test_the_learning_rate_is_halved_twice_at_fifths_of_the_budget(train, blobs):
    method, rates = build(steps=10), []
    method.after_step = lambda: rates.extend({g["lr"] for o in method.trainer.optimizers for g in o.param_groups})
    train(method, blobs(10, 4))
    assert rates == [1e-3] * 2 + [5e-4] * 2 + [2.5e-4] * 6


def test_codes_are_uniform_on_the_cube():
    z = build(latent_dim=50).sample_latent(4000, generator(0, "test"))
    assert z.abs().max() <= 1
    assert z.mean().abs() < 0.01
    assert z.var().item() == pytest.approx(1 / 3, rel=0.01)
    quarters = torch.histc(z, 4, -1, 1) / z.numel()
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_a_search_stays_on_the_cube_and_images_in_range():
    method, x = build().eval(), torch.rand(3, 1, 16, 16)
    z = method.infer(x, torch.full((3, 5), 0.99), 20, unit=0.5)
    assert z.abs().max() <= 1
    assert not torch.equal(z, torch.full((3, 5), 0.99))
    with torch.no_grad():
        method.G[-1].bias.fill_(3.0)
        assert method.decode(z).max() == 1
        torch.testing.assert_close(method.to_unit(method.G(z)).clamp(0, 1), method.decode(z))


def test_facts_are_k_and_the_recent_convergence(train, blobs):
    method = train(build(), blobs(1, 4))
    assert method.facts() == {
        "k": method.k.item(),
        "k_rate": pytest.approx(0.5),
        "convergence": pytest.approx(method.observed["convergence"].item()),
    }


def test_k_takes_the_published_step_at_the_published_length_and_as_much_in_all_in_a_shorter_run():
    assert [build(steps).k_rate for steps in (10**6, 500_000)] == [1e-3, 1e-3]
    for steps in (499_999, 10_000, 100):
        assert build(steps).k_rate * steps == pytest.approx(1e-3 * 500_000)
