import pytest
import torch
from torch import nn

from latent_ot.methods.wgan_gp import WganGp, WganGpConfig
from latent_ot.stage import Spec


def build(**settings):
    torch.manual_seed(0)
    config = WganGpConfig(**{"batch_size": 4, "latent_dim": 5, **settings})
    return WganGp(config, Spec((1, 16, 16), 100, 10**4, width=0.1))


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_critic_scores_each_image_alone(norm):
    method, x = build(critic_norm=norm), torch.rand(6, 1, 16, 16)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in method.f.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in method.G.modules())
    with torch.no_grad():
        torch.testing.assert_close(method.f(x)[2:3], method.f(x[2:3]))


@pytest.mark.parametrize("n_critic", [1, 5])
def test_n_critic_critic_steps_to_a_generator_step(n_critic, train, blobs):
    method = build(n_critic=n_critic)
    assert method.rows_per_step == 4 * n_critic
    before = {k: v.clone() for k, v in method.named_parameters()}
    train(method, blobs(3, method.rows_per_step))
    assert method.updates == {"critic": 3 * n_critic, "generator": 3}
    assert method.images_seen == 12 * n_critic
    assert all(not torch.equal(v, before[k]) for k, v in method.named_parameters() if k != "f.9.bias")
    assert all(p.requires_grad for p in method.parameters())


def test_every_critic_step_sees_images_of_its_own(train, blobs):
    method, batch = build(n_critic=3), blobs(1, 12)
    batch[0].image.copy_(torch.rand(12, 1, 16, 16))
    seen = []
    method.f.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batch)
    assert len(seen) == 3 * 3 + 1  # real, generated and interpolated for each critic step, then the generator's
    assert torch.equal(torch.cat(seen[0:9:3]), batch[0].image)


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
