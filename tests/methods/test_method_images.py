"""What all network methods of one code vector share."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from latent_ot.catalog import Catalog
from latent_ot.errors import Declined, InputError
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

OTHERS = {"pca", "glo", "gldo", "points", "ae_ot_gan"}  # a code table, no steps, no images, or parts to start from
STAGES = {name: Catalog().stage("methods", name) for name in Catalog().files["methods"]}
METHODS = [name for name, stage in STAGES.items() if not {name, stage.refines} & {*OTHERS, "ae_ot_sd"}]
REPRESENTATIONS = [name for name in METHODS if STAGES[name].role == "representation"]
GANS = [name for name in METHODS if "encode" in STAGES[name].declines]
CODED = [name for name in METHODS if name not in {*REPRESENTATIONS, *GANS}]


def build(name, shape=(1, 16, 16), images=10**4, **settings):
    torch.manual_seed(0)
    stage = STAGES[name]
    small = {
        key: value for key, value in {"batch_size": 8, "latent_dim": 5}.items() if key in stage.Config.model_fields
    }
    settings = {**stage.defaults(shape, settings), **small, **settings}
    return stage(stage.Config.build(settings, name), Spec(shape, 100, images, width=0.05))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32)])
def test_decoded_codes_are_images_of_the_data_shape_in_range(name, shape):
    method = build(name, shape).eval()
    with torch.no_grad():
        x = method.decode(3 * torch.randn(4, method.latent_dim))
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
        assert z.shape == (6, method.latent_dim)
        torch.testing.assert_close(method.encode(x[2:3]), z[2:3])
        torch.testing.assert_close(method.reconstruct(x, z, 0), method.decode(z))
    with pytest.raises(Declined, match="latent sampler"):
        method.sample(2, generator(0, "test"))


@pytest.mark.parametrize("name", GANS)
def test_a_gan_samples_from_its_prior_and_reconstructs_by_search(name):
    method = build(name).eval()
    for layer in method.modules():  # untrained weights of the usual size decode every code alike
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d) and not parametrize.is_parametrized(layer):
            nn.init.normal_(layer.weight, 0, 0.3)
    with torch.no_grad():
        x = method.sample(3, generator(0, "test"))
        assert torch.equal(x, method.sample(3, generator(0, "test")))
        start = method.sample_latent(3, generator(0, "start"))
        before = (method.decode(start) - x).square().mean()
        after = (method.reconstruct(x, start, 60) - x).square().mean()
    assert x.shape == (3, 1, 16, 16)
    assert after < 0.7 * before
    with pytest.raises(Declined, match="no encoder"):
        method.encode(x)


@pytest.mark.parametrize("name", CODED)
def test_a_method_with_an_encoder_samples_from_its_prior_and_reconstructs_without_a_search(name):
    method = build(name).eval()
    x = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        assert method.sample(2, generator(0, "test")).shape == (2, 1, 16, 16)
        z = method.encode(x)
        assert z.shape == (3, method.latent_dim)
        torch.testing.assert_close(method.encode(x[1:2]), z[1:2])
        torch.testing.assert_close(method.reconstruct(x, z, 0), method.decode(z))


@pytest.mark.parametrize("name", METHODS)
def test_training_never_looks_at_the_index(name, train, blobs):
    rows = build(name).rows_per_step
    batches = blobs(2, rows)
    shuffled = [Batch(b.index.flip(0) + 7, b.image) for b in batches]
    one, other = train(build(name), batches), train(build(name), shuffled)
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", [name for name in METHODS if "points" not in STAGES[name].accepts])
def test_points_are_declined_with_a_reason(name):
    with pytest.raises(Declined, match=rf"{name} needs images"):
        build(name, shape=(2,))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("key", ["batch_size", "lr", "latent_dim"])
def test_impossible_settings_are_one_line(name, key):
    if key not in STAGES[name].Config.model_fields:
        pytest.skip(f"{name} has no {key}")
    with pytest.raises(InputError, match=key):
        build(name, **{key: -1})
