import numpy as np
import pytest
import scipy.stats
import torch

from latent_ot.methods.vae import Vae, VaeConfig
from latent_ot.methods.wae_mmd import COST, WaeMmd, WaeMmdConfig, moment_mismatch, truncated_normal
from latent_ot.stage import Batch, Spec
from latent_ot.transport.mmd import mmd_squared


def build(channels=1, images=10**4, **settings):
    torch.manual_seed(0)
    config = WaeMmdConfig(**{"batch_size": 16, "latent_dim": 4, **settings})
    return WaeMmd(config, Spec((channels, 16, 16), 100, images, width=0.1))


@pytest.mark.parametrize(("channels", "dim"), [(1, 8), (3, 64)])
def test_code_length_is_waes_own_unless_it_is_set(channels, dim):
    assert build(channels, latent_dim=None).latent_dim == dim
    assert build(channels, latent_dim=100).latent_dim == 100


def test_a_step_lowers_the_objective_of_its_batch(train, blobs):
    method, batch = build(pretrain=0.0), blobs(1, 16)
    x, prior = batch[0].image, torch.randn(16, 4)

    def loss():
        with torch.no_grad():
            z = method.train().encoder(x)
            squared = (method.decoder(z) - x).square().sum() / 16
            return (COST[1] * squared + method.mmd_weight * mmd_squared(z, prior)).item()

    before = loss()
    train(method, batch)
    assert loss() < before


def test_codes_are_drawn_to_the_prior(train, blobs):
    methods = [train(build(mmd_weight=w, lr=5e-3, batch_size=64), blobs(40, 64, seed=1)) for w in (0.0, 100.0)]
    x, prior = blobs(1, 256, seed=2)[0].image, torch.randn(256, 4)
    with torch.no_grad():  # with batch statistics: 40 steps are too few for the running ones
        free, held = (mmd_squared(m.train().encoder(x), prior).item() for m in methods)
    assert held < 0.5 * free


def test_moment_mismatch_is_zero_for_white_codes_and_counts_mean_and_covariance():
    z = np.random.default_rng(0).standard_normal((50, 3))
    z -= z.mean(0)
    white = torch.tensor(z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / 50)).T)
    assert moment_mismatch(white).item() == pytest.approx(0, abs=1e-20)
    assert moment_mismatch(white + 2).item() == pytest.approx(4)
    assert moment_mismatch(2 * white).item() == pytest.approx(9 * 3 / 9)  # (4 - 1)^2 on the diagonal of 3 x 3
    assert moment_mismatch(white[:, :1]).item() == pytest.approx(0, abs=1e-20)


def test_first_steps_train_the_encoder_alone(train, blobs):
    method = build(images=10 * 16, pretrain=0.5)
    decoder = {k: v.clone() for k, v in method.decoder.state_dict().items()}
    batches = blobs(7, 16)
    train(method, batches[:5])
    assert method.updates == {"encoder": 5}
    assert all(torch.equal(v, decoder[k]) for k, v in method.decoder.state_dict().items())
    train(method, batches[5:])
    assert method.updates == {"encoder": 5, "autoencoder": 2}


def test_pretraining_is_a_small_share_and_never_more_than_the_authors_200_steps():
    assert build(images=16 * 1000).pretrain_steps == 20
    assert build(images=16 * 10**6).pretrain_steps == 200


@pytest.mark.parametrize(
    ("channels", "weight", "rates"),
    [(1, 10.0, {0.0: 1, 0.29: 1, 0.3: 1 / 2, 0.5: 1 / 10, 1.0: 1 / 10}), (3, 100.0, {0.0: 1, 0.5: 0.1, 1.0: 0.01})],
)
def test_weight_and_schedule_are_the_data_sets_own(channels, weight, rates):
    method = build(channels, images=16 * 100)
    assert method.mmd_weight == weight
    for progress, factor in rates.items():
        method.step = round(100 * progress)
        assert method.rate() == pytest.approx(1e-3 * factor)
    assert build(channels, schedule="constant", mmd_weight=1.0).mmd_weight == 1.0
    constant = build(channels, schedule="constant")
    constant.step = 10**6
    assert constant.rate() == 1e-3


def test_truncated_draws_are_those_of_the_truncated_normal_law():
    drawn = truncated_normal((200, 100), 0.3, torch.Generator().manual_seed(0)).flatten().double().numpy()
    assert scipy.stats.kstest(drawn, scipy.stats.truncnorm(-2, 2, scale=0.3).cdf).pvalue > 0.01
    assert abs(drawn).max() <= 0.6


def test_input_noise_is_truncated_and_only_for_training():
    method, x = build(), torch.zeros(64, 1, 16, 16)
    method.encoder = torch.nn.Flatten()
    noise = method.code_batch(x)
    assert 0.008 < noise.std() < 0.01  # truncation at two standard deviations leaves 0.88 of the standard deviation
    assert noise.abs().max() <= 0.02
    assert torch.equal(method.encode(x), x.flatten(1))


@pytest.mark.parametrize(("channels", "span"), [(1, 1), (3, 2)])
def test_the_cost_is_the_releases_in_the_range_of_its_images(channels, span):
    config = WaeMmdConfig(**WaeMmd.defaults((channels, 16, 16), {}))
    assert config.cost * 0.3**2 == pytest.approx(0.05 * (span * 0.3) ** 2)
    said = config.model_dump(mode="json")
    assert ("cost" in said, "network" in said) == (channels == 3, False)  # what was always so names no stage anew


@pytest.mark.parametrize(("method", "config"), [(WaeMmd, WaeMmdConfig), (Vae, VaeConfig)])
def test_waes_networks_are_a_setting_and_speak_their_own_range(method, config, train):
    torch.manual_seed(0)
    x = torch.rand(16, 3, 64, 64)
    made = method(config(network="wae", latent_dim=4, batch_size=16), Spec((3, 64, 64), 16, 16, width=0.02))
    assert made.data_range == (-1.0, 1.0)
    assert "network" in made.config.model_dump(mode="json")
    train(made, [Batch(torch.arange(16), x)]).eval()
    with torch.no_grad():
        z = made.encode(x)
        torch.testing.assert_close(z, made.encoder(2 * x - 1)[:, :4])
        torch.testing.assert_close(made.decode(z), (made.decoder(z) + 1) / 2)
    assert made.images_seen == 16
