import pytest
import torch

from latent_ot.methods.wgan_gp import WganGp, WganGpConfig
from latent_ot.stage import Spec


def build(**settings):
    torch.manual_seed(0)
    config = WganGpConfig(**{"batch_size": 4, "latent_dim": 5, **settings})
    return WganGp(config, Spec((1, 16, 16), 100, 10**4, width=0.1))


def test_interpolates_have_a_weight_for_each_image(train, blobs):
    method, batch = build(n_critic=1, batch_size=16), blobs(1, 16)
    seen = []
    method.f.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batch)
    real, fake, between = (s.flatten(1) for s in seen[:3])
    t = ((between - fake) / (real - fake)).nanmedian(dim=1).values
    torch.testing.assert_close(between, t[:, None] * real + (1 - t[:, None]) * fake, atol=1e-5, rtol=0)
    assert 0 <= t.min() < 0.3 < 0.7 < t.max() <= 1
    assert len(t.unique()) == 16


@pytest.mark.slow
def test_the_estimated_distance_grows_from_nothing_when_the_generator_stands_still(train, blobs):
    method = build(n_critic=5, batch_size=16)
    method.configure_optimizers = lambda: [
        torch.optim.SGD(method.G.parameters(), lr=0.0),
        torch.optim.Adam(method.f.parameters(), lr=1e-3, betas=(0.5, 0.9)),
    ]
    train(method, blobs(15, method.rows_per_step))
    # Pixels differ by about 0.5 in each of 256, so the means lie some 7 apart; the slope is held near 1.
    assert 3 < method.observed["distance"] < 9
    assert method.observed["penalty"] < 0.5
