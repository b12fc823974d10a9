"""A stage: one LightningModule trained by one ``Trainer.fit``, the unit that the benchmark plans, runs and stores."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import lightning as L
import torch
from torch import Tensor

from latent_ot.config import Config as BaseConfig
from latent_ot.ranks import average_gradients, own, size
from latent_ot.seeding import derive, generator, seed_layers

Make = Callable[[int, torch.Generator], Tensor]
"""Makes so many rows of random numbers from a CPU generator, and from nothing that changes from step to step."""


class Batch(NamedTuple):
    """Rows of the training set.

    ``index``: int64 (B,), the rows' places in the training set. ``image``: float32 (B, C, H, W) in [0, 1]; for 2-D
    sets (B, 2) in data units, and for a latent sampler the codes (B, d).
    """

    index: Tensor  # type: ignore[assignment]  # tuple.index, which no batch needs
    image: Tensor


@dataclass(frozen=True)
class Spec:
    """What a stage is trained on and for how long.

    ``shape``: of one training example, (C, H, W) or (d,). ``count``: training examples. ``images``: the budget, how
    many training images (a latent sampler: codes) the stage may draw (one counts once per draw, for a critic too).
    ``width``: factor on the hidden widths of networks. ``seed``: of the run.
    """

    shape: tuple[int, ...]
    count: int
    images: int
    width: float = 1.0
    seed: int = 0

    @property
    def epochs(self) -> float:
        """How often the budget draws each training image."""
        return self.images / self.count


class Stage(L.LightningModule):
    """Base of everything that trains, with manual optimisation and its own counters.

    A subclass sets ``Config``, builds its networks in ``__init__`` and writes ``training_step(batch, batch_idx)`` as
    its paper's algorithm box: one call is one whole outer step, so that checkpoints never fall inside one. Inside a
    step all noise is drawn by ``draw``, from a generator that is a pure function of (seed, step): a resumed run needs
    no random state. Where several devices share its ``batches``, each has its rows of them, ``draw`` returns its rows,
    and what couples rows is computed over those of all: see ``ranks``.

    On a GPU a stage that is ``replayable`` is captured after a few steps and replayed (``bench.graphs``). Its step then
    runs no Python: what changes from step to step is its batch, its draws, the rates that ``set_rates`` sets, and else
    its ``phase``.
    """

    version: ClassVar[int] = 1
    """Of what this class does: raised when its numbers change, or the names or shapes of its weights, so that those of
    earlier trainings cannot be loaded any more. What it inherits counts too, by ``identity.lineage``."""
    Config: ClassVar[type[BaseConfig]] = BaseConfig
    declines: ClassVar[dict[str, str]] = {}
    """What the stage cannot do -> the reason, e.g. ``{"reconstruct": "a GAN without an encoder"}``."""
    needs: ClassVar[int] = 1
    """Training examples that it cannot do without."""
    replayable: ClassVar[bool] = False
    """Whether a step of one phase is the same work as any other's, on the device alone. It counts for the class that
    states it and for none that inherits from it."""
    per_image: ClassVar[frozenset[str]] = frozenset()
    """Its modules that hold a row for each training image: no part of the model's size."""

    @classmethod
    def defaults(cls, shape: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings whose default depends on the data's ``shape`` or on other settings, the ``chosen`` ones.

        Those that were chosen win over them; what is not named here has its default in ``Config``.
        """
        return {}

    @classmethod
    def limits(cls, shape: tuple[int, ...], count: int) -> dict[str, int]:
        """Return the largest values that make sense on ``count`` examples of ``shape``, of settings that have some."""
        return {}

    @classmethod
    def frozen_parts(cls, config: Any) -> dict[str, int | str]:
        """Return what trained networks a stage with these settings learns from: name -> version or checksum.

        A checksum is how the sha256 of its weights begins. An evaluator that is among them may not score the run.
        """
        return {}

    @classmethod
    def require(cls, config: Any) -> None:
        """See that all that training with these settings takes is on this machine.

        Raises:
            Refused: if something is missing, with what to do.
        """

    @classmethod
    def batches(cls, config: Any) -> dict[str, int] | None:
        """Return the rows of a step's batches, each by the setting that says so, which devices may divide among them.

        None: it is trained on one device, however many there are.
        """
        return None

    def __init__(self, config: BaseConfig, spec: Spec) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.spec = spec
        self.images_seen = 0
        self.step = 0  # whole outer steps; Lightning's global_step counts every optimizer's steps
        self.updates: dict[str, int] = {}  # optimizer steps per network
        self.observed: dict[str, Tensor | float] = {}
        self.generator = generator(spec.seed, "step", 0)
        self.drawn_ahead: Callable[[int, Make], Tensor] | None = None  # takes the place of ``generator``
        self.after_step: Callable[[], None] | None = None

    @property
    def rows_per_step(self) -> int:
        """Training rows that one outer step draws (all inner critic steps together)."""
        return getattr(self.config, "batch_size", 64)

    @property
    def total_steps(self) -> int:
        """Outer steps in the budget; never fewer than one."""
        return max(1, self.spec.images // self.rows_per_step)

    @property
    def finished(self) -> bool:
        """Whether training may stop before the budget is spent (a solver that reached its tolerance)."""
        return False

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]; learning-rate schedules read it."""
        return min(1.0, self.step / self.total_steps)

    def sizes(self) -> dict[str, int]:
        """Return the learned parameters of each of its networks; under "" those that are in none."""
        networks = {name: child for name, child in self.named_children() if name not in self.per_image}
        counts = {name: sum(p.numel() for p in child.parameters()) for name, child in networks.items()}
        return {**counts, "": sum(p.numel() for p in self.parameters(recurse=False))}

    @property
    def phase(self) -> Hashable | None:
        """What the host decides of the step to come beside its draws and rates; steps of one phase are replays of one.

        None: the step to come is not to be replayed.
        """
        return ()

    def set_rates(self) -> None:
        """Set the optimizers' rates for the step to come, by its number alone; called before each."""

    def draw(self, n: int, make: Make) -> Tensor:
        """Return this step's next draw on the module's device: this process's n rows of what ``make`` makes."""
        if self.drawn_ahead is not None:
            return self.drawn_ahead(n, make)
        return own(n, lambda rows: make(rows, self.generator)).to(self.device)

    def noise(self, n: int, dim: int) -> Tensor:
        """Return this step's next standard normal draw, (n, dim), on the module's device."""
        return self.draw(n, lambda rows, g: torch.randn(rows, dim, generator=g))

    def uniform(self, n: int) -> Tensor:
        """Return this step's next draw from U(0, 1), (n,), on the module's device."""
        return self.draw(n, lambda rows, g: torch.rand(rows, generator=g))

    def prepare(self, examples: Callable[[], Tensor]) -> None:
        """Look at all training examples, as stored, before the first step; a checkpoint then overrides what was set."""

    def observe(self, **values: Tensor | float) -> None:
        """Keep this step's values; the runner writes them out at intervals, so a step never waits for the device."""
        self.observed = {k: v.detach() if isinstance(v, Tensor) else v for k, v in values.items()}

    def update(self, name: str, optimizer: Any) -> None:
        """Step an optimizer and count the step for the network called ``name``."""
        average_gradients(p for group in optimizer.param_groups for p in group["params"])
        optimizer.step()
        self.updates[name] = self.updates.get(name, 0) + 1

    def descend(self, loss: Tensor, **optimizers: Any) -> None:
        """Step each named network's optimizer on its own gradient of ``loss``."""
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for name, optimizer in optimizers.items():
            self.update(name, optimizer)

    def facts(self) -> dict[str, Any]:
        """Return the method's own figures for the result record (numbers or short strings), read after training."""
        return {}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed everything random in the step to come from (seed, step)."""
        self.generator = generator(self.spec.seed, "step", self.step)
        seed_layers(derive(self.spec.seed, "layers", self.step))  # dropout and the like draw globally
        self.set_rates()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count what the step drew, then let the runner look (progress, checkpoints, an early stop)."""
        self.step += 1
        self.images_seen += len(batch.index) if size() == 1 else self.rows_per_step
        if self.after_step is not None:
            self.after_step()

    def counters(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside weights and optimizers."""
        return {"images_seen": self.images_seen, "step": self.step, "updates": dict(self.updates)}

    def restore(self, counters: dict[str, Any]) -> None:
        """Set the counters that ``counters`` returned."""
        self.images_seen, self.step, self.updates = counters["images_seen"], counters["step"], counters["updates"]


def as_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]; points and codes, which are floats already, as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
