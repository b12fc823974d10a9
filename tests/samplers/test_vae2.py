import math

import pytest
import torch
from driving import assert_interruption_changes_nothing, fit, fit_codes, normal, seeded
from linear_gaussian import Posterior, assert_the_bound_is_that_of_the_evidence, linear_gaussian
from torch import nn
from torch.distributions import Normal

from latent_ot.bench.train import build
from latent_ot.samplers.vae2 import LOG_GAMMA_MIN, Vae2, Vae2Config
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec


def make(n, d, steps=1, width=1.0, **config):
    config = Vae2Config(**{"hidden": 64, **config})
    return build(Vae2, config, Spec(shape=(d,), count=n, images=steps * config.batch_size, width=width))


def trained(codes, steps, **config):
    return fit_codes(make(*codes.shape, steps=steps, **config), codes, steps)


def relative(a, b):
    return float((a - b).norm() / b.norm())


@pytest.fixture
def linear():
    sampler, case = make(10, 4).double(), linear_gaussian(4, [2.0, 1.0, 0.3, 0.0], 0.6)
    sampler.decoder = case[0]
    sampler.log_gamma.data = torch.tensor(0.6, dtype=torch.float64).log()
    return sampler, *case[1:]


def test_the_bound_is_that_of_the_evidence_in_the_linear_gaussian_case(linear):
    assert_the_bound_is_that_of_the_evidence(*linear)


def test_the_loss_is_made_of_log_densities(linear):
    sampler, z, _, _ = linear
    sampler.encoder = Posterior(0.3 * torch.eye(4).double(), torch.ones(4).double(), torch.full((4,), -0.5).double())
    noise = normal(5, 4, 5).double()
    nll, kl = sampler.bound(z, noise)
    u = 0.3 * z + 1 + math.exp(-0.5) * noise
    expected = -Normal(u @ sampler.decoder.weight.T + sampler.decoder.bias, 0.6).log_prob(z).sum(1)
    torch.testing.assert_close(nll, expected)
    torch.testing.assert_close(
        kl, torch.distributions.kl_divergence(Normal(0.3 * z + 1, math.exp(-0.5)), Normal(0.0, 1.0)).sum(1)
    )


def test_kl_of_the_encoder_equals_monte_carlo():
    sampler, z = make(10, 3).double(), normal(4, 3, 1).double()
    with torch.no_grad():
        sampler.encoder.head.weight.mul_(5)  # far enough from the prior for a relative tolerance
        kl = sampler.bound(z, torch.zeros_like(z))[1]
        mean, log_std = sampler.encoder(z).chunk(2, dim=1)
    u = mean + log_std.exp() * torch.randn(200_000, 4, 3, generator=seeded(2), dtype=torch.float64)
    estimate = (Normal(mean, log_std.exp()).log_prob(u) - Normal(0.0, 1.0).log_prob(u)).sum(-1).mean(0)
    torch.testing.assert_close(kl, estimate, rtol=0.01, atol=0.01)


def test_the_best_gamma_is_the_root_mean_squared_residual():
    sampler, z, noise = make(10, 3).double(), normal(50, 3, 1).double(), normal(50, 3, 2).double()
    with torch.no_grad():
        mean, log_std = sampler.encoder(z).chunk(2, dim=1)
        residual = z - sampler.decoder(mean + log_std.exp() * noise)
    sampler.log_gamma.data = residual.square().mean().sqrt().log()
    sampler.bound(z, noise)[0].mean().backward()
    assert abs(sampler.log_gamma.grad.item()) < 1e-12


def test_training_finds_that_gamma():
    codes = normal(512, 3, 1)
    sampler = trained(codes, steps=60, lr=1e-12, gamma_lr=1e-1, batch_size=128)
    z = sampler.frame(codes)
    with torch.no_grad():
        mean, log_std = sampler.encoder(z).chunk(2, dim=1)
        residual = z - sampler.decoder(mean + log_std.exp() * normal(512, 3, 2))
    assert sampler.facts()["gamma"] == pytest.approx(residual.square().mean().sqrt().item(), rel=0.05)


def test_gamma_has_a_floor():
    codes = torch.full((64, 2), 3.0)
    sampler = make(64, 2, gamma_lr=1.0)
    sampler.fit(codes)
    sampler.decoder.head.weight.data.zero_()
    sampler.decoder.head.bias.data.zero_()  # the codes are told exactly, so the best gamma is 0
    sampler.log_gamma.data.fill_(LOG_GAMMA_MIN + 0.5)
    assert fit(sampler, [Batch(torch.arange(64), codes)]).log_gamma.item() == LOG_GAMMA_MIN


@pytest.mark.slow
def test_draws_have_the_mean_and_covariance_of_gaussian_codes():
    codes = normal(5000, 4, 1) @ normal(4, 4, 2) + 30
    sampler = trained(codes, steps=600, lr=3e-3, hidden=32)
    with torch.no_grad():
        drawn = sampler.sample(50_000, seeded())
    assert relative(drawn.T.cov(), codes.T.cov()) < 0.15
    assert (drawn.mean(0) - codes.mean(0)).abs().max() < 0.1 * sampler.frame.scale
    assert sampler.facts()["kl_nats"] > 1  # u is used: the draws are not gamma's noise alone


def test_standardised_codes_have_mean_zero_and_mean_square_one_whatever_their_scale():
    codes = normal(300, 5, 1) * torch.tensor([1.0, 2.0, 0.0, 0.1, 5.0])
    plain, moved = make(300, 5), make(300, 5)
    plain.fit(codes)
    moved.fit(1000 * codes - 77)
    z = plain.frame(codes)
    torch.testing.assert_close(z.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    assert z.square().mean().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(moved.frame(1000 * codes - 77), z, atol=1e-4, rtol=0)


def test_a_draw_is_a_map_of_a_code_and_a_noise_of_width_gamma():
    sampler = trained(100 * normal(300, 3, 1), steps=5)
    with torch.no_grad():
        w = sampler.source(7, seeded())
        assert w.shape == (7, 6)
        assert torch.equal(sampler.transport(w), sampler.sample(7, seeded()))
        assert sampler.sample(7, seeded()).dtype == torch.float32
        still = sampler.transport(torch.cat([w[:, :3], torch.zeros(7, 3)], dim=1))
        spread = sampler.frame.scale * sampler.log_gamma.exp()
        torch.testing.assert_close(sampler.transport(w) - still, spread * w[:, 3:], atol=1e-3, rtol=1e-4)
    assert sampler.frame.scale > 90


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 1), (0.37, 1), (0.375, 0.5), (0.74, 0.5), (0.75, 0.25)])
def test_rates_are_halved_after_300_and_600_of_800_epochs(progress, factor):
    sampler = make(10, 2, steps=1000)
    sampler.fit(normal(10, 2))
    sampler.step = round(1000 * progress)
    assert sampler.decay() == factor
    fit(sampler, [Batch(torch.arange(10), normal(10, 2))])
    rates = [group["lr"] for group in sampler.trainer.optimizers[0].param_groups]
    assert rates == pytest.approx([1e-4 * factor, 1e-2 * factor])


def test_networks_are_those_of_the_release():
    sampler = make(10, 7, hidden=1024)
    shapes = [tuple(p.shape) for p in sampler.encoder.parameters() if p.dim() == 2]
    assert shapes == [(1024, 7), (1024, 1024), (1024, 1024), (14, 1031)]
    assert [tuple(p.shape) for p in sampler.decoder.parameters() if p.dim() == 2][-1] == (7, 1031)
    assert make(10, 7, hidden=1024, width=0.25).decoder.head.in_features == 7 + 256
    assert sum(isinstance(layer, nn.ReLU) for layer in sampler.encoder.modules()) == 3


def with_posteriors(steps=8, **config):
    codes, std = normal(200, 3, 1) * torch.tensor([3.0, 1.0, 0.0]) + 5, normal(200, 3, 2).abs()
    sampler = make(200, 3, steps=steps, batch_size=32, **config)
    sampler.std = std
    return sampler, codes, std


def test_codes_of_posteriors_are_drawn_anew_for_every_step_by_seed_and_step():
    sampler, codes, std = with_posteriors()
    index = torch.arange(200)
    batch, seen = Batch(index, codes), []
    for step in (0, 1, 0):
        sampler.step = step
        sampler.on_train_batch_start(batch, 0)
        seen.append(sampler.drawn(batch))
    assert torch.equal(seen[0], seen[2])
    first, second = ((z - codes) / std for z in seen[:2])
    assert (first - second).abs().median() > 0.5
    few = torch.tensor([7, 3])
    sampler.on_train_batch_start(batch, 0)
    found = sampler.drawn(Batch(few, codes[few]))
    assert torch.equal(found, codes[few] + std[few] * torch.randn(2, 3, generator=generator(0, "step", 0)))
    noise = torch.cat([first, second])  # 1,200 numbers of N(0, 1)
    assert abs(noise.mean().item()) < 5 / 1200**0.5
    assert noise.var().item() == pytest.approx(1, abs=5 * (2 / 1200) ** 0.5)
    sampler.std = None
    assert torch.equal(sampler.drawn(batch), codes)


def test_the_frame_is_that_of_draws_and_of_codes_without_posteriors_their_own():
    n, mean, std = 40_000, normal(40_000, 2, 1), torch.tensor([2.0, 1.0])
    sampler = make(n, 2)
    sampler.std = std.expand(n, 2)
    sampler.fit(mean)
    assert sampler.frame.scale.item() == pytest.approx(((1 + 4 + 1 + 1) / 2) ** 0.5, rel=0.02)
    sampler.std = None
    sampler.fit(mean)
    assert sampler.frame.scale.item() == pytest.approx(1, rel=0.02)


def test_an_interruption_changes_nothing_of_a_training_on_draws(tmp_path):
    _, codes, _ = with_posteriors()
    assert_interruption_changes_nothing(lambda: with_posteriors()[0], codes, tmp_path, 3)
