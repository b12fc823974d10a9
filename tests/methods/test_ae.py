import pytest
import torch
from torch import nn

from latent_ot.catalog import Catalog
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.stage import Spec


def build(channels=1, images=10**4, **settings):
    torch.manual_seed(0)
    return Ae(AeConfig(batch_size=16, **settings), Spec((channels, 16, 16), 100, images, width=0.1))


def error(method, x):
    with torch.no_grad():
        return (method.decoder(method.encoder(x)) - x).square().mean().item()


@pytest.mark.parametrize(("channels", "dim"), [(1, 64), (3, 128)])
def test_code_length_follows_the_channels_unless_it_is_set(channels, dim):
    assert build(channels).latent_dim == dim
    assert build(channels, latent_dim=7).latent_dim == 7


def test_a_step_lowers_the_error_on_its_batch(train, blobs):
    method, batch = build(), blobs(1, 16)
    before = error(method.train(), batch[0].image)
    train(method, batch)
    assert error(method.train(), batch[0].image) < before


@pytest.mark.slow
def test_one_batch_can_be_learned_by_heart(train, blobs):
    method = train(build(lr=5e-3), blobs(1, 16) * 150)
    assert method.observed["error"] < 0.1 * error(build().train(), blobs(1, 16)[0].image)


def test_the_last_share_of_the_budget_trains_the_decoder_alone(train, blobs):
    method = build(images=4 * 16, refine=0.5)
    batches = blobs(4, 16)
    train(method, batches[:2])
    encoder = {k: v.clone() for k, v in method.encoder.state_dict().items()}
    decoder = {k: v.clone() for k, v in method.decoder.state_dict().items()}
    train(method, batches[2:])
    assert method.updates == {"autoencoder": 2, "decoder": 2}
    assert all(torch.equal(v, encoder[k]) for k, v in method.encoder.state_dict().items())  # statistics included
    assert not torch.equal(method.decoder.state_dict()["0.weight"], decoder["0.weight"])


def test_the_code_penalty_is_the_mean_one_norm(train, blobs):
    method, batch = build(code_l1=0.3), blobs(1, 16)
    with torch.no_grad():
        expected = 0.3 * method.train().encoder(batch[0].image).abs().sum(1).mean()
    train(method, batch)
    assert (method.observed["loss"] - method.observed["error"]).item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_autoencoder_of_the_named_pairs_is_that_of_ot_gen():
    settings = Catalog().pairs["ae_ot_gen"]["settings"]
    config = AeConfig.build({**Ae.defaults((1, 28, 28), settings["ae"]), **settings["ae"]}, where="ae")
    method = Ae(config, Spec((1, 28, 28), 60_000, 15_000 * 128))
    assert method.total_steps == 15_000
    assert [layer.out_features for layer in method.encoder if isinstance(layer, nn.Linear)] == [512, 512, 8]
    assert isinstance(method.encoder[-1], nn.Sigmoid)
    group = method.configure_optimizers().param_groups[0]
    assert (group["lr"], group["betas"]) == (3e-3, (0.5, 0.999))
    assert (config.halve_every, config.code_l1, config.refine) == (15_000, 0, 0)
    torch.manual_seed(0)
    own = nn.Linear(784, 512, bias=False).weight
    torch.manual_seed(0)
    assert torch.equal(Ae(config, Spec((1, 28, 28), 9, 9)).encoder[1].weight, own)


@pytest.mark.parametrize("network", ["infogan", "dcgan", "fc"])
def test_squashed_codes_are_the_sigmoids_of_the_others(network, blobs):
    x = blobs(1, 16)[0].image
    free, squashed = (build(network=network, squash=squash, latent_dim=5).eval() for squash in (False, True))
    z = squashed.encode(x)
    assert z.shape == (16, 5)
    torch.testing.assert_close(z, free.encode(x).sigmoid())
    assert list(free.state_dict()) == list(squashed.state_dict())
    assert squashed.reconstruct(x, z, 0).shape == x.shape


def test_the_fully_connected_autoencoder_learns_a_batch_by_heart(train, blobs):
    batch = blobs(1, 16)
    method = build(network="fc", squash=True, latent_dim=8, lr=3e-3, beta1=0.5, init_std=None)
    before = error(method.train(), batch[0].image)
    assert train(method, batch * 100).observed["error"] < 0.1 * before


@pytest.mark.parametrize(("network", "init_std"), [("infogan", 0.02), ("fc", None), ("dcgan", None)])
def test_a_step_is_adams_on_the_squared_error_in_the_networks_own_range(network, init_std, train, blobs):
    method, copy = (build(network=network, init_std=init_std, latent_dim=5) for _ in range(2))
    optimizer = torch.optim.Adam(copy.train().parameters(), lr=1e-3, fused=True)
    signed = network == "dcgan"
    for batch in blobs(3, 16):
        x = 2 * batch.image - 1 if signed else batch.image
        optimizer.zero_grad()
        (copy.decoder(copy.encoder(x)) - x).square().mean().backward()
        optimizer.step()
    train(method, blobs(3, 16))
    for k, v in copy.state_dict().items():
        torch.testing.assert_close(method.state_dict()[k], v, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        rebuilt = copy.eval().decoder(copy.encoder(x))
        expected = (rebuilt + 1) / 2 if signed else rebuilt
        torch.testing.assert_close(method.eval().reconstruct(batch.image, x, 0), expected, rtol=1e-3, atol=1e-4)


def test_the_learning_rate_is_halved_at_the_steps_that_are_set(train, blobs):
    method, rates = build(images=5 * 16, halve_every=2), []
    method.after_step = lambda: rates.append(method.optimizers().param_groups[0]["lr"])
    train(method, blobs(5, 16))
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    resumed, rates = build(halve_every=2), []
    resumed.after_step = lambda: rates.append(resumed.optimizers().param_groups[0]["lr"])
    resumed.restore({"images_seen": 48, "step": 3, "updates": {}})
    train(resumed, blobs(2, 16))
    assert rates == pytest.approx([5e-4, 2.5e-4])
