import itertools

import torch
from torch import nn

from latent_ot.methods._inversion import CHUNK, invert
from latent_ot.networks.infogan import Generator


def errors(decode, z, x):
    return (decode(z) - x).square().flatten(1).mean(dim=1)


def linear(seed=0, n=7, d=4, pixels=20):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(d, pixels, generator=generator)
    return (lambda z: z @ weight), weight, torch.randn(n, pixels, generator=generator)


def test_a_linear_decoder_is_inverted_to_the_least_squares_solution():
    decode, weight, x = linear()
    z = invert(decode, x, torch.zeros(7, 4), steps=1000)
    torch.testing.assert_close(z, torch.linalg.lstsq(weight.T, x.T).solution.T, atol=1e-3, rtol=1e-3)


def test_more_steps_never_reconstruct_worse():
    decode, _, x = linear()
    start = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    found = [errors(decode, invert(decode, x, start, steps, lr=3.0), x) for steps in range(12)]  # 3.0 overshoots
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(found))


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
    together = invert(net, x, start, 20)
    alone = torch.cat([invert(net, x[i : i + 1], start[i : i + 1], 20) for i in range(4)])
    torch.testing.assert_close(together, alone)


def test_every_code_passed_is_projected():
    decode, _, x = linear()
    z = invert(decode, x, nn.functional.normalize(torch.ones(7, 4)), 50, project=nn.functional.normalize)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(7))


def test_it_works_where_gradients_are_switched_off_and_over_several_chunks():
    decode, _, x = linear(n=CHUNK + 3)
    with torch.inference_mode():
        z = invert(decode, x * 1.0, torch.zeros(CHUNK + 3, 4), 10)
    assert (errors(decode, z, x) < errors(decode, torch.zeros_like(z), x)).all()


def test_double_precision_is_kept():
    net = nn.Linear(3, 6).double()
    z = invert(net, torch.rand(2, 6, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64), 2)
    assert z.dtype == torch.float64
