import pytest
import torch
from linear_gaussian import assert_the_bound_is_that_of_the_evidence, linear_gaussian
from torch import nn

from latent_ot.methods.vae import LOG_GAMMA_MIN, Vae, VaeConfig
from latent_ot.stage import Spec


def build(latent_dim=3, **settings):
    torch.manual_seed(0)
    config = VaeConfig(batch_size=16, latent_dim=latent_dim, **settings)
    return Vae(config, Spec((1, 16, 16), 100, 10**4, width=0.1))


def test_the_bound_is_that_of_the_evidence_in_the_linear_gaussian_case():
    method = build(3, gamma=0.6).double()
    layer, x, evidence, posterior = linear_gaussian(256, [2.0, 1.0, 0.3], 0.6)
    method.decoder = nn.Sequential(layer, nn.Unflatten(1, (1, 16, 16)))
    method.log_gamma.data = torch.tensor(0.6, dtype=torch.float64).log()
    assert_the_bound_is_that_of_the_evidence(method, x.view(-1, 1, 16, 16), evidence, posterior)


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


def test_the_spread_of_codes_is_the_posteriors_row_by_row():
    method = build().eval()
    images = torch.randint(0, 256, (700, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        mean, log_std = method.posterior(images.float() / 255)
        torch.testing.assert_close(method.codes(images), mean)
        torch.testing.assert_close(method.code_std(images), log_std.exp())
