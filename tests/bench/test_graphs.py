"""Steps that are replayed are those that are taken one by one; what a CUDA graph cannot hold is held off on a CPU.

Here nothing is captured: a replay calls the step again, with the batch and the draws that a graph would read in their
fixed places, and under a guard that refuses what a captured step must not do.
"""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from driving import assert_interruption_changes_nothing, run
from golden import stages
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latent_ot.bench import graphs, rows
from latent_ot.bench.graphs import Ahead, Rate
from latent_ot.config import Config
from latent_ot.methods.base import Method
from latent_ot.stage import Spec

CPU = torch.device("cpu")
ABLE = [
    (name, kind)
    for kind, names in stages.CATALOG.files.items()
    for name in sorted(names)
    if vars(stages.CATALOG.stage(kind, name)).get("replayable", False)
]
WAITS = {
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select"),
    *("_unique2", "unique_dim", "unique_consecutive"),
}
"""Operations whose result, or its shape, the host has to know."""


class OnTheDevice(TorchDispatchMode):
    """Refuses what waits for the device, and what is made on the host or drawn there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in WAITS or (name == "repeat_interleave" and func._overloadname == "Tensor"):
            raise RuntimeError(f"aten::{name} waits for the device")
        if any(isinstance(value, torch.Generator) for value in (*args, *kwargs.values())):
            raise RuntimeError(f"aten::{name} draws on the host")
        indices = [x for x in tree_leaves(args[1:2]) if isinstance(x, torch.Tensor)]
        if name.startswith("index") and any(x.dtype in (torch.bool, torch.uint8) for x in indices):
            raise RuntimeError(f"aten::{name} by a mask waits for the device")
        made = func(*args, **kwargs)
        if any(isinstance(x, torch.Tensor) and x.device.type == "meta" for x in tree_leaves(made)):
            raise RuntimeError(f"aten::{name} makes a tensor on the host")  # none that names its device is on "meta"
        return made


def guarded(step):
    """Stands for a capture: a replay is the step itself, guarded."""

    def replay():
        with torch.device("meta"), OnTheDevice():
            step()
        replay.times += 1

    replay.times = 0
    guarded.made.append(replay)
    return replay


@pytest.fixture
def replaying(monkeypatch):
    """Let a CPU take steps by replays; return those of each capture."""
    guarded.made = []
    monkeypatch.setattr(graphs, "WARM", 1)
    monkeypatch.setattr(graphs, "capture_on", lambda device: guarded)
    return guarded.made


def trained(make, data, folder):
    stage = make()
    result = run(stage, data, folder)
    result.pop("seconds")
    return result, stage.state_dict(), (folder / "metrics.jsonl").read_bytes()


def assert_replays_change_nothing(make, data, folder, replaying):
    """Train ``make()`` by replays and step by step; both must end alike."""
    found = trained(make, data, folder / "replayed")
    with patch.object(graphs, "capture_on", lambda device: None):
        wanted = trained(make, data, folder / "plain")
    assert found[0] == wanted[0]
    assert found[2] == wanted[2]
    for name, value in wanted[1].items():
        assert torch.equal(found[1][name], value), name


def small(name, steps, kind="methods", **settings):
    """Return what makes a small stage of so many steps, and its examples."""
    data = "grey" if kind == "methods" else "codes"

    def make():
        with patch.object(stages, "STEPS", steps):
            return stages.built(stages.Case(name, kind, data, settings))

    return make, stages.DATA[data]()


def test_most_methods_that_train_by_steps_can_be_captured():
    by_steps = {p for p in stages.CATALOG.files["methods"] if not stages.CATALOG.stage("methods", p).closed_form}
    assert by_steps - {name for name, _ in ABLE} == {"ae_ot_gan", "wgan_qc"}  # transport on the host


@pytest.mark.one_quick
@pytest.mark.parametrize(("name", "kind"), ABLE)
def test_a_captured_step_does_nothing_on_the_host_and_is_the_step_as_written(name, kind, tmp_path, replaying):
    make, data = small(name, 4 if name == "iwgan" else 3, kind, **({"long_first": 0} if name == "wgan" else {}))
    assert_replays_change_nothing(make, data, tmp_path, replaying)
    assert sum(one.times for one in replaying) >= 1


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "settings", "captures"),
    [
        ("wae_mmd", {"pretrain": 0.5, "schedule": "exponential"}, 2),  # moments, then all; a rate for every step
        ("ae", {"refine": 0.5, "halve_every": 2}, 2),  # both networks, then the decoder
        ("glo", {"new_optimizers": True, "batch_size": 16}, 2),  # an epoch, then another
        ("glo", {"optim": "sgd", "halve_every": 0.5}, 2),  # a rate that is a constant of the graph
        ("pggan", {"phase": 0.175}, 2),  # 4 pixels, a fade, 8 pixels, a fade, 16 pixels
        ("sngan", {"decay": True}, 1),
    ],
)
def test_what_changes_is_a_rate_on_the_device_or_a_phase(name, settings, captures, tmp_path, replaying):
    make, data = small(name, 12, **settings)
    assert_replays_change_nothing(make, data, tmp_path, replaying)
    assert len(replaying) >= captures
    assert all(one.times for one in replaying)


def test_an_interruption_among_replays_changes_nothing(tmp_path, replaying):
    make, data = small("vae", 8)
    assert_interruption_changes_nothing(make, data, tmp_path, 5)


def test_images_that_do_not_fit_on_the_device_are_read_ahead(tmp_path, replaying, monkeypatch):
    make, data = small("glo", 5)
    np.save(tmp_path / "images.npy", data)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(graphs, "AHEAD_BYTES", 2 * mapped[0].nbytes * 8 + 4000)  # two steps at a time
    assert_replays_change_nothing(make, mapped, tmp_path, replaying)
    assert replaying[0].times == 4


class OwnConfig(Config):
    """A rate."""

    lr: float = 0.1


class Own(Method):
    """A user's method: the mean of all images, by steps."""

    Config = OwnConfig
    replayable = True

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.mean = nn.Parameter(torch.zeros(spec.shape))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.config.lr)

    def training_step(self, batch, batch_idx):
        loss = (batch.image - self.mean + 0.1 * self.noise(1, 1)).square().mean()
        self.descend(loss, mean=self.optimizers())
        self.observe(loss=loss)


class Heir(Own):
    """Does on the host what its parent does not, and states nothing."""


def own(stage):
    return lambda: stage(OwnConfig(), Spec((1, 16, 16), 96, 6 * 64))


def test_a_method_that_cannot_be_captured_says_so_once_and_trains_all_the_same(tmp_path, monkeypatch):
    data = stages.DATA["grey"]()

    def refuse(step):
        step()  # what it counts meanwhile must not count
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be ...")

    plain = trained(own(Own), data, tmp_path / "plain")
    monkeypatch.setattr(graphs, "capture_on", lambda device: refuse)
    heir = trained(own(Heir), data, tmp_path / "heir")
    assert heir[0].pop("notes") == ["its steps are taken one by one: its class does not state replayable = True"]
    assert heir[0] == {key: value for key, value in plain[0].items() if key != "notes"}
    assert torch.equal(heir[1]["mean"], plain[1]["mean"])
    held = own(Own)()
    result = run(held, data, tmp_path / "refused")
    why = "operation not permitted when stream is capturing"
    assert result["notes"] == [f"its steps could not be captured and are taken one by one ({why})"]
    assert result["updates"] == plain[0]["updates"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda self, x: x * float(self.mean.sum()), "_local_scalar_dense waits"),
        (lambda self, x: x[x > 0.5], "index by a mask waits"),
        (lambda self, x: x + torch.eye(16).to(x.device), "eye makes a tensor on the host"),
        (lambda self, x: x + torch.tensor(1.0), "on the host"),
        (lambda self, x: x + torch.rand(16, generator=self.generator, device="cpu"), "rand draws on the host"),
        (lambda self, x: x.unique(), "_unique2 waits"),
    ],
)
def test_the_guard_sees_what_a_graph_cannot_hold(broken, why, tmp_path, replaying):
    def step(self, batch, batch_idx):
        self.descend((broken(self, batch.image) - self.mean.sum()).square().mean(), mean=self.optimizers())
        self.observe(loss=0.0)

    one = type("Broken", (Own,), {"training_step": step, "replayable": True})
    with pytest.raises(RuntimeError, match=why):
        run(own(one)(), stages.DATA["grey"](), tmp_path / "broken")


def test_inputs_are_those_of_each_step_whatever_steps_are_skipped():
    ahead = Ahead(
        lambda step: [torch.tensor([step]), torch.full((3, 5), step / 2), torch.tensor(step > 9)], 4, 300, CPU
    )
    try:
        for step in (4, 5, 9, 67, 68, 200, 201, 299):
            ahead.take(step)
            whole, half, late = ahead.tensors
            assert (whole.item(), late.item()) == (step, step > 9)
            assert torch.equal(half, torch.full((3, 5), step / 2))
    finally:
        ahead.close()


def test_a_failure_of_the_thread_that_makes_inputs_is_the_trainings():
    def inputs(step):
        if step > 70:
            raise ValueError("no draw")
        return [torch.zeros(2)]

    ahead = Ahead(inputs, 0, 200, CPU)
    ahead.take(0)
    with pytest.raises(ValueError, match="no draw"):
        ahead.take(64)
    ahead.close()


def test_a_rate_on_the_device_follows_the_hosts():
    weight = nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([weight], lr=0.1, fused=True)
    (group,) = adam.param_groups
    rate = Rate(group, CPU)
    for lr in (0.1, 0.025):
        group["lr"] = lr
        rate.fill()
        with rate:
            assert group["lr"].item() == lr
        assert group["lr"] == lr
