"""Many steps in one of the trainer's: the stage and the runner see each step as if it were the trainer's own."""

from unittest.mock import patch

import pytest
import torch
from driving import run
from golden import stages

from latent_ot.bench import loop
from latent_ot.bench.train import Stopped
from latent_ot.config import Config
from latent_ot.methods.base import Method
from latent_ot.samplers.vae2 import Vae2, Vae2Config
from latent_ot.stage import Spec


class Hooked(Method):
    """Notes what is called."""

    def __init__(self):
        super().__init__(Config(), Spec((1, 16, 16), 96, 6 * 64))
        self.mean, self.calls = torch.nn.Parameter(torch.zeros(())), []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        self.calls.append(f"step {self.step}")
        self.wrapped = type(self.optimizers()).__name__ != "SGD"
        self.descend((batch.image.mean() - self.mean).square(), mean=self.optimizers())
        self.observe(loss=0.0)

    def on_train_batch_start(self, batch, batch_idx):
        super().on_train_batch_start(batch, batch_idx)
        self.calls.append(f"start {batch_idx}")

    def on_train_batch_end(self, outputs, batch, batch_idx):
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.calls.append(f"end {batch_idx}")


class Clipped(Hooked):
    """Has a hook of Lightning's between gradient and step."""

    def on_after_backward(self):
        self.calls.append("gradient")
        self.mean.grad.zero_()


def test_a_stage_has_its_hooks_around_every_step_and_its_own_methods_afterwards(tmp_path):
    stage = Hooked()
    run(stage, stages.DATA["grey"](), tmp_path)
    assert stage.calls == [f"{what} {k}" for k in range(6) for what in ("start", "step", "end")]
    assert not stage.wrapped
    assert not {"training_step", "on_train_batch_start", "on_train_batch_end", "optimizers"} & vars(stage).keys()


def test_a_stage_with_hooks_at_its_gradients_is_trained_with_them(tmp_path):
    stage = Clipped()
    run(stage, stages.DATA["grey"](), tmp_path)
    assert stage.calls.count("gradient") == 6
    assert stage.wrapped
    assert stage.mean.item() == 0


@pytest.mark.parametrize("turn", [0.0, 60.0])
def test_a_wish_to_stop_is_heard_after_each_step_however_long_a_turn_is(turn, tmp_path):
    asked, stage = [], Hooked()
    with patch.object(loop, "TURN", turn), pytest.raises(Stopped):
        run(stage, stages.DATA["grey"](), tmp_path, lambda: asked.append(1) or len(asked) == 3)
    assert stage.step == 3


def test_a_training_that_was_cut_off_behind_its_last_step_ends_as_one_that_was_not(tmp_path):
    codes = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))

    def make():
        torch.manual_seed(0)
        return Vae2(Vae2Config(batch_size=10), Spec((3,), 50, 40, 0.1))

    first, again = make(), make()
    run(first, codes, tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    run(again, codes, tmp_path)
    assert again.step == 4
    assert bool(again.fitted)
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_cpu_does_not_look_for_gpus_at_every_step():
    from latent_ot.bench.machine import leave_out_gpus

    for device, expected in (("cpu", {"CUDA_VISIBLE_DEVICES": ""}), ("cuda", {"CUDA_VISIBLE_DEVICES": "3"})):
        environ = {"CUDA_VISIBLE_DEVICES": "3"}
        leave_out_gpus(torch.device(device), environ)
        assert environ == expected
