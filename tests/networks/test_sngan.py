import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.sngan import Critic, Generator


def weights(critic):
    return [m.weight.flatten(1) for m in critic if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 48 + 16])
def test_parameters_are_those_of_the_published_table(channels, size):
    side, shape = size // 8, (channels, size, size)
    dense = 128 * 512 * side**2 + 2 * 512 * side**2
    ladder = 16 * (512 * 256 + 256 * 128 + 128 * 64) + 2 * (256 + 128 + 64)
    assert count(Generator(128, shape)) == dense + ladder + 64 * channels * 9 + channels
    keep = 9 * (channels * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64 + 128 + 256 + 512
    halve = 16 * (64 * 64 + 128 * 128 + 256 * 256) + 64 + 128 + 256
    critic = keep + halve + 512 * side**2 + 1
    assert count(Critic(shape)) == count(Critic(shape, norm="none")) == critic
    normalised = 64 + 128 + 128 + 256 + 256 + 512  # all but the first
    assert count(Critic(shape, norm="batch")) == critic + normalised  # scale and shift for a bias
    assert count(Critic(shape, norm="layer")) == critic + 2 * normalised


def test_kernels_strides_and_units_are_those_of_the_published_table():
    critic = Critic((3, 32, 32), width=0.1, norm="none")
    layers = [(m.kernel_size[0], m.stride[0], m.padding[0]) for m in critic if isinstance(m, nn.Conv2d)]
    assert layers == [(3, 1, 1), (4, 2, 1)] * 3 + [(3, 1, 1)]
    assert [m.negative_slope for m in critic if isinstance(m, nn.LeakyReLU)] == [0.1] * 7
    kinds = [type(m) for m in Generator(8, (3, 32, 32), width=0.1)]
    up = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Unflatten, *up, *up, *up, nn.Conv2d, nn.Tanh]


def test_the_largest_singular_value_tends_to_one_in_every_layer():
    torch.manual_seed(0)
    critic, x = Critic((3, 16, 16), width=0.1), torch.rand(1, 3, 16, 16)
    plain = Critic((3, 16, 16), width=0.1, norm="none")
    with torch.no_grad():
        for net in (critic, plain):  # weights that the vectors of the iteration have never seen
            for parameter in net.parameters():
                parameter.normal_()
        for _ in range(300):
            critic(x)
    critic.eval()
    assert len(weights(critic)) == 8
    for w in weights(critic):
        assert torch.linalg.svd(w).S[0].item() == pytest.approx(1, abs=1e-3)
    assert all(torch.linalg.svd(w).S[0] > 2 for w in weights(plain))


def test_one_forward_is_one_power_iteration_in_training_and_none_in_eval():
    torch.manual_seed(0)
    critic, x = Critic((1, 8, 8), width=0.1), torch.rand(2, 1, 8, 8)
    last = critic[18]  # the convolution to 512
    with torch.no_grad():
        last.parametrizations.weight.original.normal_()
        before = {k: v.clone() for k, v in critic.state_dict().items()}
        critic.eval()
        critic(x)
        assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())
        critic.train()
        critic(x)
    matrix = last.parametrizations.weight.original.detach().flatten(1)
    v = before["18.parametrizations.weight.0._v"]
    u = nn.functional.normalize(matrix @ v, dim=0)
    torch.testing.assert_close(last.parametrizations.weight[0]._u, u)
    torch.testing.assert_close(last.parametrizations.weight[0]._v, nn.functional.normalize(matrix.T @ u, dim=0))


def test_the_gradient_runs_through_the_norm():
    """d(W / sigma): sigma is homogeneous, so a step along W itself changes nothing."""
    torch.manual_seed(0)
    critic = Critic((1, 8, 8), width=0.1).double().eval()
    critic(torch.rand(2, 1, 8, 8, dtype=torch.float64)).sum().backward()
    for layer in (m for m in critic if isinstance(m, nn.Linear | nn.Conv2d)):
        w = layer.parametrizations.weight.original
        assert w.grad.norm() > 0
        assert abs((w.grad * w).sum()) < 1e-9 * w.grad.norm() * w.norm()


def test_a_state_dict_holds_the_vectors_of_the_iteration():
    torch.manual_seed(0)
    one, other = Critic((1, 8, 8), width=0.1), Critic((1, 8, 8), width=0.1)
    x = torch.rand(2, 1, 8, 8)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))
    assert torch.equal(one.eval()(x), other.eval()(x))


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_the_last_maps_of_the_critic_are_an_eighth_of_the_image(size):
    critic = Critic((1, size, size), 7, width=0.05)
    assert nn.Sequential(*critic)[:-2](torch.rand(3, 1, size, size)).shape == (3, 26, size // 8, size // 8)
