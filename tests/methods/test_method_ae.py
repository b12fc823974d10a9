import pytest
import torch

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
