import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.methods._inversion import CHUNK, invert, unit_of
from latent_ot.networks.infogan import Generator


def errors(decode, z, x):
    return (decode(z) - x).square().flatten(1).mean(dim=1)


def linear(seed=0, n=7, d=4, pixels=20):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(d, pixels, generator=generator)
    return (lambda z: z @ weight), weight, torch.randn(n, pixels, generator=generator)


def test_a_linear_decoder_is_inverted_to_the_least_squares_solution():
    decode, weight, x = linear()
    z = invert(decode, x, torch.zeros(7, 4), steps=300, unit=1.0)
    torch.testing.assert_close(z, torch.linalg.lstsq(weight.T, x.T).solution.T, atol=1e-3, rtol=1e-3)


def test_no_search_ends_worse_than_it_began():
    decode, _, x = linear()
    start = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    found = [errors(decode, invert(decode, x, start, steps, rate=3.0), x) for steps in (0, 1, 2)]  # 3.0 overshoots
    assert all((later <= found[0]).all() for later in found)


def test_no_step_returns_the_start():
    decode, _, x = linear()
    start = torch.randn(7, 4)
    assert torch.equal(invert(decode, x, start, 0), start)


def test_only_codes_get_gradients_and_the_decoder_is_untouched():
    net = Generator(5, (1, 8, 8), width=0.05).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    invert(net, torch.rand(3, 1, 8, 8), torch.randn(3, 5), 3)
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_an_images_search_does_not_depend_on_the_others():
    net = Generator(5, (1, 8, 8), width=0.05).double().eval()
    x, start = torch.rand(4, 1, 8, 8, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    together = invert(net, x, start, 20, unit=1.0)
    alone = torch.cat([invert(net, x[i : i + 1], start[i : i + 1], 20, unit=1.0) for i in range(4)])
    torch.testing.assert_close(together, alone)


def test_every_code_passed_is_projected():
    decode, _, x = linear()
    z = invert(decode, x, nn.functional.normalize(torch.ones(7, 4)), 50, 0.5, nn.functional.normalize)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(7))


def test_it_works_where_gradients_are_switched_off_and_over_several_chunks():
    decode, _, x = linear(n=CHUNK + 3)
    with torch.inference_mode():
        z = invert(decode, x * 1.0, torch.zeros(CHUNK + 3, 4), 60, unit=1.0)
    assert (errors(decode, z, x) < errors(decode, torch.zeros_like(z), x)).all()


def test_double_precision_is_kept():
    net = nn.Linear(3, 6).double()
    z = invert(net, torch.rand(2, 6, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64), 2, unit=1.0)
    assert z.dtype == torch.float64


@pytest.mark.parametrize("project", [None, nn.functional.normalize])
@pytest.mark.parametrize("scale", [0.1, 1.3 / 1024, 37.0])
def test_rescaled_codes_under_a_rescaled_decoder_find_the_same_images(scale, project):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 64), nn.Sigmoid())
    x, start = torch.rand(6, 64), torch.randn(6, 5)
    start = start if project is None else project(start)
    scaled = None if project is None else (lambda z: scale * project(z / scale))
    with torch.no_grad():
        found = net(invert(net, x, start, 30, project=project))
        again = net(invert(lambda z: net(z / scale), x, scale * start, 30, project=scaled) / scale)
        assert (found - x).square().mean() < (net(start) - x).square().mean() - 1e-3
    torch.testing.assert_close(again, found, atol=1e-4, rtol=0)


def test_steps_are_in_units_of_the_spread_and_fall_to_zero():
    slope, passed = torch.tensor([1.0, -2.0, 3.0]), []

    def decode(z):
        passed.append(z.detach().clone())
        return (z * slope).sum(dim=1, keepdim=True)  # one slope of one sign, so that Adam's steps are its sizes

    invert(decode, torch.full((2, 1), 1e6), torch.zeros(2, 3), 10, unit=5.0, rate=0.2)
    sizes = (passed[1][0] - passed[0][0]).abs(), (passed[-1][0] - passed[-2][0]).abs()
    torch.testing.assert_close(sizes[0], torch.full((3,), 1.0))
    assert (sizes[1] < 0.05).all()


def test_the_spread_of_codes_on_a_sphere_and_of_normal_ones():
    g = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 100, generator=g)
    assert unit_of(z) == pytest.approx(1, rel=0.01)
    assert unit_of(7 + z) == pytest.approx(1, rel=0.01)
    assert unit_of(nn.functional.normalize(z)) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("unit", [None, 0.0, float("nan")])
def test_codes_without_a_spread_are_refused(unit):
    decode, _, x = linear()
    with pytest.raises(InputError, match=r"have the spread (0\.0|nan); allowed: more than 0"):
        invert(decode, x, torch.zeros(7, 4), 3, unit)
