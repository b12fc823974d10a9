import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from latent_ot.methods.sngan import Sngan, SnganConfig
from latent_ot.seeding import generator
from latent_ot.stage import Spec

NETWORKS = ["sngan", "sngan_resnet"]


def build(network="sngan", images=10**4, **settings):
    torch.manual_seed(0)
    chosen = {"network": network, "batch_size": 4, "latent_dim": 5, **settings}
    config = SnganConfig(**{**Sngan.defaults((1, 16, 16), chosen), **chosen})
    return Sngan(config, Spec((1, 16, 16), 100, images, width=0.05))


def layers(net):
    return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def test_each_pair_of_networks_has_its_own_optimizer_and_a_chosen_setting_wins():
    for network, betas in (("sngan", (0.5, 0.999)), ("sngan_resnet", (0.0, 0.9))):
        assert all(o.param_groups[0]["betas"] == betas for o in build(network).configure_optimizers())
        assert all(o.param_groups[0]["lr"] == 2e-4 for o in build(network).configure_optimizers())
    assert build("sngan_resnet").config.generator_batch == 128
    assert build("sngan_resnet", n_dis=2).rows_per_step == 8


@pytest.mark.parametrize("network", NETWORKS)
def test_every_discriminator_step_sees_images_of_its_own_in_the_networks_range(network, train, blobs):
    method = build(network, n_dis=3, generator_batch=7)
    batch, seen, scores = blobs(1, 12), [], []
    batch[0].image.copy_(torch.rand(12, 1, 16, 16))
    method.D.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    method.D.register_forward_hook(lambda module, args, output: scores.append(output.detach()))
    train(method, batch)
    assert torch.equal(torch.cat(seen[0:6:2]), 2 * batch[0].image - 1)
    assert [len(x) for x in seen] == [4] * 6 + [7]
    assert all(x.min() < 0 for x in seen[1::2])
    real, fake, last = scores[4:]
    torch.testing.assert_close(method.observed["discriminator"], relu(1 - real).mean() + relu(1 + fake).mean())
    torch.testing.assert_close(method.observed["generator"], -last.mean())


def test_the_rate_of_the_residual_networks_falls_linearly_to_nothing(train, blobs):
    for network, shares in (("sngan", [1, 1, 1, 1]), ("sngan_resnet", [1, 3 / 4, 2 / 4, 1 / 4])):
        method, rates = build(network, n_dis=1, images=16), []
        assert method.total_steps == 4
        method.after_step = lambda m=method, r=rates: r.append([o.param_groups[0]["lr"] for o in m.optimizers()])
        train(method, blobs(4, 4))
        assert rates == [pytest.approx([2e-4 * share] * 2) for share in shares]


@pytest.mark.parametrize("network", NETWORKS)
def test_only_training_forwards_move_the_power_iteration(network, train, blobs):
    method = build(network)
    train(method, blobs(2, method.rows_per_step))
    method.eval()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    vectors = [k for k in before if k.endswith(("._u", "._v"))]
    assert len(vectors) == 2 * len(layers(method.D)) > 0
    with torch.no_grad():
        method.sample(2, generator(0, "test"))
        method.D(torch.rand(2, 1, 16, 16))
        method.facts()
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_the_reported_norm_is_the_true_one():
    method = build()
    last = layers(method.D)[-1]
    with torch.no_grad():
        last.parametrizations.weight.original.copy_(torch.randn(1, 104))  # its vectors are those of the old weights
        method.eval()
        expected = max(torch.linalg.svd(m.weight.flatten(1)).S[0].item() for m in layers(method.D))
        assert expected > 1.5
        assert method.facts() == {"spectral_norm": pytest.approx(expected, rel=1e-5)}
        method.train()
        for _ in range(50):
            method.D(torch.rand(1, 1, 16, 16))
        assert method.eval().facts() == {"spectral_norm": pytest.approx(1, abs=1e-3)}
