"""Adversaries and hybrids take two whole steps on colour images of every size that the papers' comparisons use."""

import pytest
import torch
from driving import fit, solved_pair

from latent_ot.catalog import Catalog
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

ADVERSARIES = ["gan", "dcgan", "wgan", "wgan_gp", "began", "sngan", "pggan", "ctgan", "wgan_div", "wgan_qc"]
HYBRIDS = ["iwgan", "ae_ot_gan", "vaegan", "gan_kl", "vae_adv_perc", "sdkl", "sdkl_ns"]
LARGE = ("pggan", "wgan_div", "wgan_qc", "ae_ot_gan")
CASES = [(name, size) for size in (32, 64) for name in ADVERSARIES + HYBRIDS] + [(name, 256) for name in LARGE]
NETWORK = {"ae_ot_gan": "wgan_qc"}  # at 256 pixels, where InfoGAN's first layer would hold half a billion weights


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), CASES)
def test_two_steps_are_finite_and_samples_have_the_data_shape(name, size):
    torch.manual_seed(0)
    shape, stage = (3, size, size), Catalog().stage("methods", name)
    network = {"network": NETWORK[name]} if size == 256 and name in NETWORK else {}
    chosen = {"batch_size": 4 if size == 256 and name != "ae_ot_gan" else 8, **network}
    config = stage.Config.build({**stage.defaults(shape, chosen), **chosen}, name)
    images = torch.rand(16, *shape)
    base = (solved_pair(images, width=0.05, latent_dim=8, **network),) if stage.refines else ()
    method = stage(config, Spec(shape, 16, 10**4, width=0.05), *base)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    index = torch.arange(method.rows_per_step) % 16
    fit(method, [Batch(index, images[index])] * 2)
    assert method.observed
    assert all(torch.as_tensor(value).isfinite().all() for value in method.observed.values())
    assert all(value.isfinite().all() for value in method.state_dict().values() if value.is_floating_point())
    assert any(not torch.equal(value, before[key]) for key, value in method.state_dict().items())
    with torch.no_grad():
        x = method.eval().sample(2, generator(0, "test"))
    assert x.shape == (2, *shape)
    assert 0 <= x.min() <= x.max() <= 1
