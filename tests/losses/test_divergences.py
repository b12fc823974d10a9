import math

import pytest
import torch
from torch.distributions import Normal

from latent_ot.losses.adversarial import gan_generator
from latent_ot.losses.divergences import FORWARD_KL, JENSEN_SHANNON, REVERSE_KL, SYMMETRIC_KL

DATA = Normal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
GRID = torch.linspace(-12, 12, 6001, dtype=torch.float64)  # trapezoids are exact to rounding for such densities
START = torch.tensor([-0.5, 0.2], dtype=torch.float64)  # mean and log standard deviation of the model


def model(theta):
    return Normal(theta[0], theta[1].exp())


def expect(density, values):
    return torch.trapezoid(density.log_prob(GRID).exp() * values, GRID)


def kl(p, q):
    return expect(p, p.log_prob(GRID) - q.log_prob(GRID))


def js(theta):
    p, q = DATA.log_prob(GRID), model(theta).log_prob(GRID)
    middle = torch.logaddexp(p, q) - math.log(2)
    return 0.5 * (expect(DATA, p - middle) + expect(model(theta), q - middle))


VALUES = {
    "reverse": (REVERSE_KL, lambda t: kl(model(t), DATA)),
    "forward": (FORWARD_KL, lambda t: kl(DATA, model(t))),
    "symmetric": (SYMMETRIC_KL, lambda t: kl(model(t), DATA) + kl(DATA, model(t))),
    "jensen_shannon": (JENSEN_SHANNON, js),
}


def logits(x):
    """Return log(p*/p) of the model at START, the analytic discriminator held constant."""
    return DATA.log_prob(x) - model(START).log_prob(x)


def surrogate_gradient(divergence):
    theta = START.clone().requires_grad_()
    standard = Normal(torch.zeros((), dtype=torch.float64), 1.0)
    sample = theta[0] + theta[1].exp() * GRID  # as a generator makes it of its noise
    loss = expect(standard, divergence.generated(logits(sample)))
    loss = loss + expect(DATA, divergence.real(logits(GRID), model(theta).log_prob(GRID)))
    (gradient,) = torch.autograd.grad(loss, theta)
    return gradient


def finite_differences(value, h=1e-5):
    steps = h * torch.eye(2, dtype=torch.float64)
    return torch.stack([(value(START + s) - value(START - s)) / (2 * h) for s in steps])


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("form", ["both terms", "generated images only"])
def test_the_surrogate_has_the_gradient_of_the_divergence(name, form):
    divergence, value = VALUES[name]
    if form == "generated images only":
        divergence = divergence.without_likelihood()
        assert not divergence.B(GRID).any()
    torch.testing.assert_close(surrogate_gradient(divergence), finite_differences(value), atol=1e-6, rtol=0)


def test_the_jensen_shannon_divergence_on_generated_images_alone_is_half_the_minimax_gan_loss():
    a = torch.linspace(-9, 9, 7, dtype=torch.float64)
    one = JENSEN_SHANNON.without_likelihood().generated(a)
    torch.testing.assert_close(one.mean(), 0.5 * gan_generator(a, saturating=True))


def test_samples_estimate_the_gradient_of_the_reverse_kl():
    theta = torch.tensor([0.7, 0.4], dtype=torch.float64, requires_grad=True)
    fixed, standard = model(theta.detach()), Normal(torch.zeros((), dtype=torch.float64), 1.0)
    noise = torch.randn(10**6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = theta[0] + theta[1].exp() * noise
    REVERSE_KL.generated(standard.log_prob(x) - fixed.log_prob(x)).mean().backward()
    exact = torch.tensor([0.7, math.exp(0.8) - 1], dtype=torch.float64)  # of (s^2 + mu^2 - 1) / 2 - log s
    torch.testing.assert_close(theta.grad, exact, rtol=0.02, atol=0)


def test_the_reverse_kl_is_minus_the_logit_and_the_forward_kl_minus_the_log_likelihood_exactly():
    a, log_p = torch.tensor([-1e6, -3.0, 0.0, 2.5, 1e6]), torch.tensor([-7.0, 1.0, 2.0, 0.5, -4.0])
    assert torch.equal(REVERSE_KL.generated(a), -a)
    assert not REVERSE_KL.real(a, log_p).any()
    assert torch.equal(FORWARD_KL.real(a, log_p), -log_p)
    assert not FORWARD_KL.generated(a).any()
    assert torch.equal(SYMMETRIC_KL.generated(a), -a)
    assert torch.equal(SYMMETRIC_KL.real(a, log_p), -log_p)


@pytest.mark.parametrize("name", VALUES)
def test_extreme_logits_stay_finite_and_only_the_likelihood_gets_a_gradient_from_real_images(name):
    divergence = VALUES[name][0]
    a = torch.tensor([-1e5, -50.0, 50.0, 1e5], requires_grad=True)
    log_p = torch.ones(4, requires_grad=True)
    real = divergence.real(a, log_p)
    real.sum().backward()
    assert a.grad is None
    assert torch.equal(log_p.grad, divergence.B(a.detach()))
    assert (log_p.grad <= 0).all()  # so that a lower bound of log p bounds the loss from above
    (divergence.generated(a) + 0 * a).sum().backward()
    assert all(torch.isfinite(v).all() for v in (divergence.generated(a), real, a.grad, log_p.grad))


@pytest.mark.parametrize("distance", [1.0, 1e-1, 1e-3])
@pytest.mark.parametrize("error", [0.1, 1e-3])
def test_the_gradient_grows_like_one_over_the_distance_of_a_pair_that_the_discriminator_tells_apart(distance, error):
    """Proposition 1: D(x) = 1 - e and D(x~) = e at distance delta make it 2 log((1-e)/e) / delta."""
    x = torch.tensor([0.4, 0.4 + distance], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1 - error, error], dtype=torch.float64)
    w, b = (torch.zeros((), dtype=torch.float64) for _ in range(2))
    for _ in range(60):  # Newton's method on the cross-entropy, damped at the start
        d = torch.sigmoid(w * x.detach() + b)
        design = torch.stack([x.detach(), torch.ones_like(d)])
        hessian = (design * d * (1 - d)) @ design.T
        step = torch.linalg.solve(hessian, design @ (d - targets))
        shift = (step @ design).abs().max()  # largest change of a logit
        w, b = (torch.stack([w, b]) - step * (1.0 / shift).clamp(max=1.0)).unbind()
    loss = REVERSE_KL.generated(w * x + b)
    torch.testing.assert_close(loss[1], torch.tensor(math.log((1 - error) / error), dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss.sum(), x)
    assert slope[1].abs().item() * distance == pytest.approx(2 * math.log((1 - error) / error), rel=1e-6)
