"""Many steps in one of the trainer's: what Lightning does around a step costs a small network as much as the step.

Hooks of the stage are called for each step as Lightning calls them, and so is what the runner does after it. What wraps
an optimizer's step and a backward pass for precisions and strategies that are not in use here is left out, unless the
stage has a hook there.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
from torch import Tensor

from latent_ot.stage import Batch, Stage

TURN = 0.5  # seconds after which the trainer has its turn
WRAPPED = (
    *("optimizers", "manual_backward", "backward", "on_before_backward", "on_after_backward"),
    *("optimizer_step", "optimizer_zero_grad", "on_before_optimizer_step", "on_before_zero_grad"),
)
"""What a stage may have of its own in Lightning's wraps of a backward pass and of an optimizer's step."""


class Loop:
    """The steps still to do, for a trainer whose loader it is; while it is entered the stage's hooks are its to call.

    Args:
        stage: to train.
        batch: step -> its batch.
        step: takes a step: the stage's ``training_step``, or what stands for it.
    """

    def __init__(self, stage: Stage, batch: Callable[[int], Batch], step: Callable[[Batch, int], Any]) -> None:
        self.stage, self.batch, self.step = stage, batch, step
        self.begin, self.end = stage.on_train_batch_start, stage.on_train_batch_end
        self.own: dict[str, Any] = {}

    def __len__(self) -> int:
        """Return the most times that the trainer may have to ask; without it, it would read ahead."""
        return max(1, self.stage.total_steps - self.stage.step)

    def __iter__(self) -> Iterator[Batch]:
        while self.stage.step < self.stage.total_steps:
            yield self.batch(self.stage.step)

    def __enter__(self) -> None:
        def nothing(*_: Any) -> None:
            pass

        stage, wrapped = self.stage, any(vars(kind).keys() & {*WRAPPED} for kind in _kinds(self.stage))
        names = {"on_train_batch_start": nothing, "on_train_batch_end": nothing, "training_step": self.take}
        if not wrapped:
            names |= {"optimizers": self._optimizers, "manual_backward": Tensor.backward}
        self.own = {name: vars(stage).get(name) for name in names}
        vars(stage).update(names)

    def __exit__(self, *_: Any) -> None:
        for name, own in self.own.items():
            if own is None:
                del vars(self.stage)[name]
            else:
                vars(self.stage)[name] = own

    def take(self, batch: Batch, batch_idx: int) -> None:
        """Take steps until the trainer has its turn, from the one whose batch is given."""
        stage, until = self.stage, time.monotonic() + TURN
        while True:
            self.begin(batch, stage.step)
            self.step(batch, stage.step)
            self.end(None, batch, stage.step)
            if stage.step >= stage.total_steps or stage.trainer.should_stop or time.monotonic() > until:
                return
            batch = self.batch(stage.step)

    def _optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """Return the stage's one optimizer or list of them, not wrapped."""
        found = self.stage.trainer.optimizers
        return found[0] if len(found) == 1 else found


def _kinds(stage: Stage) -> list[type]:
    """Return the classes that a stage is made of, down to Lightning's."""
    kinds = type(stage).__mro__
    return list(kinds[: kinds.index(L.LightningModule)])
