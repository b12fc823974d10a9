"""What all network methods of one code vector share."""

import pytest
import torch

from latent_ot.catalog import Catalog
from latent_ot.errors import Declined, InputError
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

METHODS = ["ae", "vae", "wae_mmd", "dcgan", "wgan_gp"]
REPRESENTATIONS = METHODS[:3]


def build(name, shape=(1, 16, 16), images=10**4, **settings):
    torch.manual_seed(0)
    stage = Catalog().stage("methods", name)
    settings = {"batch_size": 8, "latent_dim": 5, **settings}
    return stage(stage.Config.build(settings, name), Spec(shape, 100, images, width=0.1))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 8), (1, 28, 28)])
def test_decoded_codes_are_images_of_the_data_shape_in_range(name, shape):
    method = build(name, shape).eval()
    with torch.no_grad():
        x = method.decode(3 * torch.randn(4, 5))
    assert x.shape == (4, *shape)
    assert x.dtype == torch.float32
    assert x.min() >= 0
    assert x.max() <= 1


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_representation_codes_images_alike_in_any_company_and_samples_only_with_a_sampler(name):
    method = build(name).eval()
    x = torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        z = method.encode(x)
        assert z.shape == (6, 5)
        torch.testing.assert_close(method.encode(x[2:3]), z[2:3])
        torch.testing.assert_close(method.reconstruct(x, z, 0), method.decode(z))
    with pytest.raises(Declined, match="latent sampler"):
        method.sample(2, generator(0, "test"))


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp"])
def test_a_gan_samples_from_its_prior_and_reconstructs_by_search(name):
    method = build(name, init_std=0.3).eval()  # untrained weights of the usual size decode every code alike
    with torch.no_grad():
        x = method.sample(3, generator(0, "test"))
        assert torch.equal(x, method.sample(3, generator(0, "test")))
        start = torch.randn(3, 5)
        before = (method.decode(start) - x).square().mean()
        after = (method.reconstruct(x, start, 60) - x).square().mean()
    assert x.shape == (3, 1, 16, 16)
    assert after < 0.5 * before
    with pytest.raises(Declined, match="no encoder"):
        method.encode(x)


@pytest.mark.parametrize("name", METHODS)
def test_training_never_looks_at_the_index(name, train, blobs):
    rows = build(name).rows_per_step
    batches = blobs(2, rows)
    shuffled = [Batch(b.index.flip(0) + 7, b.image) for b in batches]
    one, other = train(build(name), batches), train(build(name), shuffled)
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", METHODS)
def test_points_are_declined_with_a_reason(name):
    with pytest.raises(Declined, match=rf"{name} needs images"):
        build(name, shape=(2,))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("key", ["batch_size", "lr", "latent_dim"])
def test_impossible_settings_are_one_line(name, key):
    with pytest.raises(InputError, match=key):
        build(name, **{key: -1})
