import math

import pytest
import torch
from torch import nn

from latent_ot.methods.vae import LOG_GAMMA_MIN, Vae, VaeConfig
from latent_ot.stage import Spec


def build(latent_dim=3, **settings):
    torch.manual_seed(0)
    config = VaeConfig(batch_size=16, latent_dim=latent_dim, **settings)
    return Vae(config, Spec((1, 16, 16), 100, 10**4, width=0.1))


class Posterior(nn.Module):
    """Encoder with a linear mean and a constant standard deviation."""

    def __init__(self, matrix, bias, log_std):
        super().__init__()
        self.matrix, self.bias, self.log_std = matrix, bias, log_std

    def forward(self, x):
        mean = x.flatten(1) @ self.matrix.T + self.bias
        return torch.cat([mean, self.log_std.expand_as(mean)], dim=1)


@pytest.fixture
def toy():
    """A linear-Gaussian VAE, x = W z + b + gamma noise with orthogonal columns of W, in double precision."""
    k, pixels, gamma = 3, 256, 0.6
    method = build(k, gamma=gamma).double()
    W = torch.linalg.qr(torch.randn(pixels, k, dtype=torch.float64)).Q * torch.tensor([2.0, 1.0, 0.3])
    b = torch.randn(pixels, dtype=torch.float64)
    linear = nn.Linear(k, pixels).double()
    linear.weight.data, linear.bias.data = W, b
    method.decoder = nn.Sequential(linear, nn.Unflatten(1, (1, 16, 16)))
    method.log_gamma.data = torch.tensor(gamma, dtype=torch.float64).log()
    x = b + torch.randn(5, k, dtype=torch.float64) @ W.T + gamma * torch.randn(5, pixels, dtype=torch.float64)
    covariance = W @ W.T + gamma**2 * torch.eye(pixels, dtype=torch.float64)
    evidence = torch.distributions.MultivariateNormal(b, covariance).log_prob(x)
    precision = 1 + W.square().sum(0) / gamma**2  # of the true posterior, diagonal since the columns are orthogonal
    matrix = (W / gamma**2 / precision).T
    return method, x.view(-1, 1, 16, 16), evidence, Posterior(matrix, -matrix @ b, -0.5 * precision.log())


def elbo(method, x):
    """The bound exactly: a quadratic's Gaussian mean is its mean over the 2k points mu +- sqrt(k) sigma_j e_j."""
    k = method.latent_dim
    directions = math.sqrt(k) * torch.cat([torch.eye(k), -torch.eye(k)]).double()
    nll = torch.stack([method.bound(x, d.expand(len(x), k))[0] for d in directions]).mean(0)
    return -(nll + method.bound(x, torch.zeros(len(x), k).double())[1])


def test_bound_equals_the_log_evidence_at_the_true_posterior(toy):
    method, x, evidence, posterior = toy
    method.encoder = posterior
    torch.testing.assert_close(elbo(method, x), evidence)


def test_bound_never_exceeds_the_log_evidence(toy):
    method, x, evidence, posterior = toy
    for _ in range(30):
        method.encoder = Posterior(
            posterior.matrix + 0.1 * torch.randn_like(posterior.matrix),
            posterior.bias + 0.5 * torch.randn_like(posterior.bias),
            posterior.log_std + 0.5 * torch.randn_like(posterior.log_std),
        )
        assert (elbo(method, x) < evidence).all()


def test_a_step_raises_the_bound_of_its_batch(train, blobs):
    method, batch = build(), blobs(1, 16)
    noise = torch.randn(16, 3)

    def loss():
        with torch.no_grad():
            return sum(method.train().bound(batch[0].image, noise)).mean().item()

    before = loss()
    train(method, batch)
    assert loss() < before


def test_gamma_is_learned_unless_it_is_fixed(train, blobs):
    learned, fixed = train(build(), blobs(3, 16)), train(build(gamma=0.2), blobs(3, 16))
    assert learned.facts()["gamma"] < 1
    assert fixed.facts()["gamma"] == pytest.approx(0.2)


def test_gamma_has_a_floor_and_can_leave_it(train, blobs):
    method = build(lr=0.5)
    method.log_gamma.data.fill_(LOG_GAMMA_MIN)
    train(method, blobs(1, 16))  # the error is far above the floor, so the step goes up
    assert method.log_gamma > LOG_GAMMA_MIN
    method.log_gamma.data.fill_(-40.0)
    batch = blobs(1, 16)
    batch[0].image.zero_()
    train(method, batch)
    assert method.log_gamma >= LOG_GAMMA_MIN


def test_encode_is_the_posterior_mean_and_the_stored_nats_are_the_kl(train, blobs):
    batch = blobs(1, 16)
    method = train(build(), batch).eval()
    assert method.facts()["kl_nats"] == pytest.approx(method.observed["kl"].item())
    with torch.no_grad():
        torch.testing.assert_close(method.encode(batch[0].image), method.posterior(batch[0].image)[0])
