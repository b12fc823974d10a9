"""A batch of B rows on N devices is one batch of B: as theorems in double precision, on two processes.

Training is chaotic in single precision wherever a gradient is rounding alone, as that of a bias before a normalisation
is: Adam makes a whole step of it. In double precision all weights must agree.
"""

from unittest.mock import patch

import pytest
import torch
from golden import stages
from sharing import joined
from torch import nn

from latent_ot.bench import rows
from latent_ot.networks._synchronised import synchronise
from latent_ot.ranks import agree, agreed, average_gradients, gather, mean, own, share, total

BATCH = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LAYERS = {
    "norm": lambda: [nn.BatchNorm2d(3), nn.Softplus(), nn.Flatten(), nn.Linear(48, 6), nn.BatchNorm1d(6)],
    "plain norm": lambda: [nn.BatchNorm2d(3, affine=False, momentum=None), nn.Tanh(), nn.Flatten()],
    "no running statistics": lambda: [nn.BatchNorm2d(3, track_running_stats=False), nn.Tanh(), nn.Flatten()],
    "dropout": lambda: [nn.Conv2d(3, 2, 3), nn.Dropout(0.3), nn.Flatten(), nn.Linear(8, 6), nn.Dropout(0.6)],
}


def slopes(name):
    """Return all that two passes leave of a network with a penalty on its slopes, as that of GLDO, and its outputs."""
    torch.manual_seed(0)
    network, found = nn.Sequential(*LAYERS[name](), nn.Flatten()).double(), []
    synchronise(network)
    for _ in range(2):
        torch.manual_seed(2)
        x = share(BATCH).clone().requires_grad_()
        y = network(x)
        (gradient,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        loss = y.square().mean() + gradient.flatten(1).norm(dim=1).pow(3).mean()
        network.zero_grad()
        loss.backward()
        average_gradients(network.parameters())
        found += [gather(y.detach()), mean(loss.detach()), *(p.grad.clone() for p in network.parameters())]
    network.eval()
    return [*found, gather(network(share(BATCH))).detach(), *network.state_dict().values()]


def primitives():
    rows = torch.arange(6.0, requires_grad=True)
    squares = gather(share(rows)) ** 2
    (slope,) = torch.autograd.grad((squares * torch.arange(6.0)).sum(), rows, create_graph=True)
    told = torch.full((2,), float(share(rows)[0])), share(torch.arange(2)) > 0
    agree(told)
    return {
        "share": share(rows).tolist(),
        "gather": gather(share(rows)).tolist(),
        "slope": slope.tolist(),
        "curvature": torch.autograd.grad(slope.sum(), rows)[0].tolist(),
        "own": own(2, lambda n: torch.arange(n)).tolist(),
        "total": total(share(rows)).tolist(),
        "mean": mean(share(rows)).tolist(),
        "agree": (told[0].tolist(), bool(told[1])),
        "agreed": agreed(float(share(rows)[0]) == 0.0),
    }


@pytest.fixture
def of_colour():
    """Let refinements of colour images have what they start from; before ``double``, as that of grey ones."""
    stages.base("colour")


@pytest.fixture
def double(monkeypatch):
    """Let golden cases of ten steps be built, fed and trained in double precision."""

    def as_double(x):
        return x.double() / 255 if x.dtype == torch.uint8 else x.double()

    stages.base("grey")  # in single precision, which both runs begin with
    monkeypatch.setattr(rows, "as_float", as_double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(cases, steps):
    """Train cases; return the losses that each step observed, the weights, and what is counted."""
    found = []
    for case in cases:
        with patch.object(stages, "STEPS", steps):
            made = stages.built(case).double()
        synchronise(made)
        losses = stages.trained(made, case)
        losses = [{name: mean(torch.tensor(value)).item() for name, value in row.items()} for row in losses]
        found.append((losses, dict(made.state_dict()), made.counters()))
    return found


def assert_one_is_two(cases, steps):
    alone, (first, second) = trained(cases, steps), joined(lambda: trained(cases, steps))
    for case, one, two, other in zip(cases, alone, first, second, strict=True):
        assert two[2] == one[2], case
        for losses, wanted in zip(two[0], one[0], strict=True):
            assert losses == pytest.approx(wanted, rel=1e-8, abs=1e-8), case
        for name, weights in one[1].items():
            torch.testing.assert_close(
                two[1][name], weights, rtol=1e-8, atol=1e-8, equal_nan=True, msg=f"{case} {name}"
            )
            assert torch.equal(two[1][name].nan_to_num(), other[1][name].nan_to_num()), (case, name)


def test_what_couples_rows_is_that_of_the_whole_batch_to_the_second_derivative():
    alone = {name: slopes(name) for name in LAYERS}
    for (basic, found), number in zip(
        joined(lambda: (primitives(), {n: slopes(n) for n in LAYERS})), (0, 1), strict=True
    ):
        weighed = [2.0 * n * n for n in range(6)]  # of both ranks, each of which differentiates the whole sum
        assert basic["share"] == [number, number + 2, number + 4]
        assert basic["gather"] == [0, 1, 2, 3, 4, 5]
        assert basic["slope"] == [2 * w if n % 2 == number else 0 for n, w in enumerate(weighed)]
        assert basic["curvature"] == [4 * n if n % 2 == number else 0 for n in range(6)]
        assert basic["own"] == [number, number + 2]
        assert (basic["total"], basic["mean"]) == ([1, 5, 9], [0.5, 2.5, 4.5])
        assert (basic["agree"], basic["agreed"]) == (([0.0, 0.0], False), True)
        for name, wanted in alone.items():
            for value, one in zip(found[name], wanted, strict=True):
                torch.testing.assert_close(value, one, rtol=1e-10, atol=1e-10, msg=name)


ONE_OF_EACH = ("wae_mmd", "gldo", "ctgan", "ae_ot_gan", "sdot")
"""A representation, an auto-decoder, a GAN, a refinement and a latent sampler."""


@pytest.mark.slow
def test_ten_steps_on_two_devices_are_those_of_one_for_one_of_each_kind(double):
    assert_one_is_two([stages.cases(part)[0] for part in ONE_OF_EACH], steps=10)


SHARED = [
    part
    for kind, parts in stages.CATALOG.files.items()
    for part in parts
    if stages.CATALOG.stage(kind, part).batches(stages.configuration(stages.cases(part)[0])) is not None
]


def test_every_method_that_trains_by_steps_is_shared_and_of_latent_samplers_sdot():
    methods = {p for p in stages.CATALOG.files["methods"] if not stages.CATALOG.stage("methods", p).closed_form}
    assert {*SHARED} == {*methods, "sdot"}


@pytest.mark.slow
@pytest.mark.parametrize("part", SHARED)
def test_ten_steps_on_two_devices_are_those_of_one_for_every_method_with_every_option(part, of_colour, double):
    single = {"backbone", "perceptual", "perceptual+l2"}  # frozen networks are of single precision
    cases = [case for case in stages.cases(part) if not single & {*case.settings, *map(str, case.settings.values())}]
    assert_one_is_two(cases, steps=10)
