"""Whole steps as CUDA graphs: a step is captured once and then replayed, one launch in place of some thousand.

A small network's step on a GPU is launching and little else. A stage that is ``replayable`` takes a few steps as usual,
which show what it draws; then one is captured, with its inputs in fixed places: the batch's rows, and its draws. These
are what they always are, functions of (seed, step) on the CPU, made ahead by a thread and sent many steps at a time.
Hooks, counters, logs and checkpoints of a step stay where they are. Another ``phase`` has a graph of its own, and a
step that has none is taken as usual.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latent_ot.bench.contract import Steps
from latent_ot.bench.rows import Rows, rows_of
from latent_ot.methods.base import Method
from latent_ot.ranks import size
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Make, Stage, as_float

WARM = 3  # steps of a phase before one is captured: libraries choose their algorithms, optimizers make their state
AHEAD, AHEAD_BYTES = 64, 32 << 20  # steps whose inputs are sent at once, and the memory that they may take
ALIGNED = 16  # bytes; any type of number may begin there

Step = Callable[[], None]
Plain = Callable[[Batch, int], Any]
Capture = Callable[[Step], Step]
"""Takes a step without running it, and returns what runs it."""


def capture(step: Step) -> Step:
    """Capture a step on the current stream as a CUDA graph, and return its replay."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        step()
    return graph.replay


def capture_on(device: torch.device) -> Capture | None:
    """Return what captures steps on a device; None where nothing does."""
    return capture if device.type == "cuda" else None


@contextlib.contextmanager
def stream_of_its_own(device: torch.device) -> Iterator[None]:
    """Let the block's work on a GPU go to another stream than the default one, on which nothing can be captured."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


class Ahead:
    """The inputs of steps, in fixed places on the device: made ahead by a thread, and sent many steps at a time.

    Args:
        inputs: step -> its tensors on the CPU, the same shapes and types at every step.
        first: the next step.
        last: the one after the last.
        device: where the inputs are wanted.
    """

    def __init__(self, inputs: Callable[[int], list[Tensor]], first: int, last: int, device: torch.device) -> None:
        self.inputs, self.last = inputs, last
        begin, spans = 0, []
        like = inputs(first)
        for tensor in like:
            spans.append(slice(begin, begin + tensor.nbytes))
            begin += -(-tensor.nbytes // ALIGNED) * ALIGNED
        self.steps = max(1, min(AHEAD, AHEAD_BYTES // max(1, begin), last - first))
        kept = partial(torch.empty, dtype=torch.uint8)
        host = [kept(self.steps, begin, pin_memory=device.type == "cuda") for _ in range(2)]
        self.sent, self.place = kept(self.steps, begin, device=device), kept(begin, device=device)
        self.tensors = [self.place[s].view(x.dtype).view(x.shape) for s, x in zip(spans, like, strict=True)]
        self.hosts = [[[row[s].view(x.dtype).view(x.shape) for s, x in zip(spans, like, strict=True)] for row in half]
                      for half in host]  # fmt: skip
        self.halves, self.half = host, 0
        self.leaving: list[Any] = [None, None]  # events: a half was sent
        self.first = first - self.steps  # of the steps that were sent; none yet
        self.thread = ThreadPoolExecutor(1, "ahead")
        self.coming = self._ask(first)

    def take(self, step: int) -> None:
        """Put a step's inputs in their places."""
        if not self.first <= step < self.first + self.steps:
            if step != self.coming[0]:  # steps were skipped
                self.coming[1].result()
                self.coming = self._ask(step)
            self.first, made = self.coming
            made.result()
            self.sent.copy_(self.halves[self.half], non_blocking=True)
            if self.sent.device.type == "cuda":
                self.leaving[self.half] = torch.cuda.current_stream(self.sent.device).record_event()
            self.half = 1 - self.half
            self.coming = self._ask(step + self.steps)
        self.place.copy_(self.sent[step - self.first])

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(cancel_futures=True)

    def _ask(self, step: int) -> tuple[int, "Future[None]"]:
        return step, self.thread.submit(self._make, step, self.half)

    def _make(self, first: int, half: int) -> None:
        if self.leaving[half] is not None:
            self.leaving[half].synchronize()
        for places, step in zip(self.hosts[half], range(first, self.last), strict=False):
            for place, made in zip(places, self.inputs(step), strict=True):
                place.copy_(made)


@dataclass(frozen=True)
class Captured:
    """A step of one phase: what runs it, where its inputs come from, and what it does to counters and observations."""

    key: Hashable
    run: Step
    ahead: Ahead
    observed: dict[str, Tensor | float]


class Replayed:
    """Takes a stage's steps: each phase's first few as they are, the others as replays.

    Args:
        stage: on its device.
        plain: its ``training_step``.
        rows: of the training set.
        counted: what counts the steps of its optimizers.
        capturing: captures a step.
        tell: hears in one line, once, why steps cannot be captured.
    """

    def __init__(
        self, stage: Stage, plain: Plain, rows: Rows, counted: Steps, capturing: Capture, tell: Callable[[str], None]
    ) -> None:
        self.stage, self.rows, self.counted, self.capturing, self.tell = stage, rows, counted, capturing, tell
        self.plain = plain
        index = torch.zeros(stage.rows_per_step, dtype=torch.int64, device=rows.device)
        self.shaped = Batch(index, torch.zeros(len(index), *stage.spec.shape, device=rows.device))
        self.able = True
        self.captured: Captured | None = None
        self.rates: list[Rate] = []
        self.warm: tuple[Hashable, int] = (None, 0)  # the present phase, and its steps so far
        self.order: tuple[tuple[int, Make], ...] = ()  # what a step of it draws
        self.moved: tuple[dict[str, int], int] = ({}, 0)  # what it adds to the counts of updates

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        self._drop()

    def batch(self, step: int) -> Batch:
        """Return a batch that only has a step's shape: ``take`` gets its own."""
        return self.shaped

    def take(self, batch: Batch, batch_idx: int) -> None:
        """Take the stage's next step, in place of its ``training_step``."""
        key = self._key() if self.able else None
        if key is not None and self.warm == (key, WARM) and not self._holds(key):
            self._capture(key)
        if self._holds(key):
            self._replay()
        else:
            self._step(key, batch_idx)

    def _holds(self, key: Hashable | None) -> bool:
        return key is not None and self.captured is not None and self.captured.key == key

    def _key(self) -> Hashable | None:
        """Return the phase of the step to come, with the rates that are constants of a graph."""
        phase = self.stage.phase
        return None if phase is None else (phase, *(g["lr"] for g in self._groups() if not g.get("fused")))

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.stage.trainer.optimizers for group in optimizer.param_groups]

    def _step(self, key: Hashable | None, batch_idx: int) -> None:
        """Take a step as written, and note what it draws and counts."""
        stage, order = self.stage, list[tuple[int, Make]]()
        updates, counted = dict(stage.updates), self.counted.taken

        def draw(n: int, make: Make) -> Tensor:
            order.append((n, make))
            return make(n, stage.generator).to(stage.device)

        with self._drawing(draw):
            self.plain(self.rows[rows_of(stage, stage.step)], batch_idx)
        if key is not None:
            self.order = tuple(order)
            added = {name: count - updates.get(name, 0) for name, count in stage.updates.items()}
            self.moved = added, self.counted.taken - counted
            self.warm = key, min(WARM, self.warm[1] + 1) if self.warm[0] == key else 1

    def _replay(self) -> None:
        one, stage, (updates, counted) = self.captured, self.stage, self.moved
        assert one is not None
        before = dict(stage.updates), self.counted.taken
        one.ahead.take(stage.step)
        for rate in self.rates:
            rate.fill()
        stage.observed = one.observed
        one.run()
        stage.updates = before[0] | {name: before[0].get(name, 0) + more for name, more in updates.items()}
        self.counted.taken = before[1] + counted

    def _capture(self, key: Hashable) -> None:
        """Capture a step of a phase; where that fails, say so and take all steps as written."""
        self._drop()
        stage = self.stage
        before = dict(stage.updates), self.counted.taken, stage.observed
        self.rates = [Rate(group, self.rows.device) for group in self._groups()]
        ahead = Ahead(partial(self._inputs, self.order), stage.step, stage.total_steps, self.rows.device)
        index, *draws = ahead.tensors
        images = None if self.rows.resident else draws.pop(0)

        def step() -> None:
            left = iter(draws)
            with self._drawing(lambda n, make: next(left)), contextlib.ExitStack() as stack:
                for rate in self.rates:
                    stack.enter_context(rate)
                self.plain(Batch(index, self.rows.at(index) if images is None else as_float(images)), 0)

        try:
            ahead.take(stage.step)  # whatever looks at them finds numbers that can be
            for optimizer in stage.trainer.optimizers:
                _count_on_the_device(optimizer)
            run = self.capturing(step)
            self.captured = Captured(key, run, ahead, stage.observed)
        except Exception as why:
            ahead.close()
            if isinstance(why, torch.OutOfMemoryError):
                raise
            self.able = False
            reason = (str(why).splitlines() or [type(why).__name__])[0]
            self.tell(f"its steps could not be captured and are taken one by one ({reason})")
        stage.updates, self.counted.taken, stage.observed = before

    def _drop(self) -> None:
        """Let go of what was captured."""
        if self.captured is not None:
            self.captured.ahead.close()
            self.captured = None

    def _inputs(self, order: tuple[tuple[int, Make], ...], step: int) -> list[Tensor]:
        """Return a step's rows, their images where these do not lie on the device, and its draws."""
        index, g = rows_of(self.stage, step), generator(self.stage.spec.seed, "step", step)
        images = [] if self.rows.resident else [self.rows.read(index)]
        return [torch.from_numpy(index), *images, *(make(n, g) for n, make in order)]

    @contextlib.contextmanager
    def _drawing(self, draw: Callable[[int, Make], Tensor]) -> Iterator[None]:
        self.stage.drawn_ahead = draw
        try:
            yield
        finally:
            self.stage.drawn_ahead = None


class Rate:
    """An optimizer's rate as a graph reads it: on the device, where its kernels are fused, else a constant.

    While it is entered its group of parameters has what a captured step needs.
    """

    def __init__(self, group: dict[str, Any], device: torch.device) -> None:
        self.group, self.on_gpu = group, device.type == "cuda"
        kind = torch.float32 if self.on_gpu else torch.float64  # what the kernels read
        self.filled = group["lr"]
        self.tensor = torch.full((), self.filled, dtype=kind, device=device) if group.get("fused") else None

    def fill(self) -> None:
        """Bring it to what the host says of the step to come."""
        if self.tensor is not None and self.filled != self.group["lr"]:
            self.filled = self.group["lr"]
            self.tensor.fill_(self.filled)

    def __enter__(self) -> None:
        self.own: dict[str, Any] = {name: self.group[name] for name in ("lr", "capturable") if name in self.group}
        if self.tensor is not None:
            self.group["lr"] = self.tensor
        if "capturable" in self.group:
            self.group["capturable"] = self.on_gpu

    def __exit__(self, *_: Any) -> None:
        self.group.update(self.own)


def _count_on_the_device(optimizer: torch.optim.Optimizer) -> None:
    """Bring the counts of steps that an optimizer keeps on the host to its parameters."""
    for parameter, state in optimizer.state.items():
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(parameter.device)


def taker(stage: Stage, plain: Plain, rows: Rows, counted: Steps, tell: Callable[[str], None]) -> Replayed | None:
    """Return what takes a stage's steps, ``plain`` as written, by replays; None on a CPU, or where several ranks train.

    A method that may not be captured says so to ``tell``.
    """
    capturing = capture_on(rows.device)
    if capturing is None or size() > 1:
        return None
    if not vars(type(stage)).get("replayable", False):  # an heir may do on the host what its parent does not
        if isinstance(stage, Method):
            tell("its steps are taken one by one: its class does not state replayable = True")
        return None
    return Replayed(stage, plain, rows, counted, capturing, tell)
