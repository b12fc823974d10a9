"""What every executor does: run stages as their inputs become ready, each where there is room, and note how they end.

An executor says where there is room for a stage (``room``), how its worker is started, asked to stop (``ask``)
and buried (``bury``): the worker's messages come through a pipe, whatever machine it is on.
"""

import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from latent_ot.bench.death import oom_kills
from latent_ot.bench.display import Display
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.store import Store
from latent_ot.bench.worker import UNWRITABLE, Order
from latent_ot.errors import StoreError
from latent_ot.interrupts import Wish, heeded

POLL_SECONDS = 1.0  # how often a stage that another command works on is looked at
MADE = ("done", "reused")
Devices = tuple[str, ...]
"""Those of a stage, "cpu" or "cuda:0", each for a process."""


@dataclass(frozen=True)
class Running:
    """A stage at work. ``oom_kills``: how many processes this machine had killed for want of memory when it began."""

    stage: StagePlan
    process: Any
    devices: Devices
    oom_kills: int


class Executor(ABC):
    """Executes stage plans in worker processes.

    ``order``: makes what a worker is told of a stage and its devices. ``leave_busy``: to end when nothing is left but
    what other commands work on, in place of waiting for it.
    """

    def __init__(self, store: Store, order: Callable[[StagePlan, Devices], Order], leave_busy: bool = False) -> None:
        self.store, self.order, self.leave_busy = store, order, leave_busy
        self.ends: dict[str, tuple[str, str | None]] = {}
        self.waiting: dict[str, StagePlan] = {}
        self.running: dict[Connection, Running] = {}
        self.busy: set[str] = set()
        self.retry_at = 0.0
        self.full = False  # the disk took no more of a stage's files

    @abstractmethod
    def room(self, stage: StagePlan) -> Devices:
        """Return devices that are free for a stage; none where there are too few now.

        Raises:
            OSError: if there will never be enough.
        """

    @abstractmethod
    def _start(self, stage: StagePlan, devices: Devices, wish: Wish) -> tuple[Connection, Any]:
        """Start a worker; return the pipe through which its messages come, and what ``ask`` and ``bury`` take.

        Raises:
            EOFError, OSError: if it cannot be started.
        """

    @abstractmethod
    def ask(self, process: Any) -> None:
        """Ask a worker to finish its step, write a checkpoint and end."""

    @abstractmethod
    def bury(self, one: Running) -> str:
        """Wait for the end of a worker whose line broke, and say what it died of."""

    def heard(self, one: Running, message: dict[str, Any], display: Display) -> None:
        """Take what a worker tells of its progress."""
        display.update(one.stage.name, message)

    def ended(self, one: Running) -> None:
        """Take leave of a worker that has told its end."""
        one.process.join()

    def begins_again(self, one: Running, message: dict[str, Any], display: Display) -> bool:
        """Whether a stage that ended with this message is to be run again, before the others."""
        return False

    def run(self, stages: Sequence[StagePlan], display: Display) -> dict[str, tuple[str, str | None]]:
        """Run every stage that is not done.

        Returns:
            Stage name -> (status, reason): done, reused, diverged, failed, skipped (an input is missing), stopped or,
            with ``leave_busy``, busy.

        Raises:
            StoreError: once the other workers have stopped, if the disk did not take a stage's files.
        """
        self._reuse(stages, display)
        self.waiting = {stage.name: stage for stage in stages if stage.name not in self.ends}
        asked = 0
        try:
            with heeded() as wish:
                while self.waiting or self.running:
                    self._skip_orphans(display)
                    if self._left_to_others():
                        return self.ends | dict.fromkeys(self.waiting, ("busy", "another command works on it"))
                    self._start_ready(wish, display)
                    if (level := max(wish.level, int(self.full))) > asked:
                        asked = level
                        self._stop(at_once=asked > 1)
                    if asked and not self.running:
                        break
                    for ready in wait([*self.running, wish.bell], timeout=POLL_SECONDS):
                        if ready == wish.bell:
                            os.read(wish.bell, 1)
                        else:
                            self._hear(ready, display, asked > 0)
        finally:
            self._stop(at_once=True)  # none is left but where an error ends this
        refuse(self.ends)
        return self.ends | dict.fromkeys(self.waiting, ("stopped", None))

    def _reuse(self, stages: Sequence[StagePlan], display: Display) -> None:
        """Note the ends of the stages that came to one before."""
        for name in (stage.name for stage in stages):
            found = self.store.result(name)
            if found is not None:
                status = "reused" if found["status"] == "done" else found["status"]
                self.ends[name] = (status, found.get("reason"))
                display.end(name, "reused", None)

    def _skip_orphans(self, display: Display) -> None:
        """Give up stages whose inputs did not come to be."""
        for name, stage in list(self.waiting.items()):
            broken = next((i for i in stage.inputs if i in self.ends and self.ends[i][0] not in MADE), None)
            if broken is not None:
                self.ends[name] = status, reason = self.ends[broken]
                display.end(name, "skipped" if status != "stopped" else status, reason)
                del self.waiting[name]

    def _ready(self) -> list[StagePlan]:
        """Return the stages whose inputs are made."""
        return [stage for stage in self.waiting.values() if all(i in self.ends for i in stage.inputs)]

    def _left_to_others(self) -> bool:
        """Whether other commands work on all that could begin, and this one is not to wait for them."""
        if not self.leave_busy or self.running:
            return False
        ready = {stage.name for stage in self._ready()}
        return bool(ready) and ready <= self.busy

    def _start_ready(self, wish: Wish, display: Display) -> None:
        """Start stages whose inputs are made, while there is room and the user wants it."""
        while not (wish.level or self.full) and time.monotonic() >= self.retry_at:
            for stage in self._ready():
                try:
                    devices = self.room(stage)
                    if devices:
                        kills = oom_kills()
                        pipe, process = self._start(stage, devices, wish)
                        break
                except (EOFError, OSError) as error:  # the server of workers is gone
                    if not wish.level:
                        del self.waiting[stage.name]
                        self.ends[stage.name] = ("failed", f"its worker could not be started ({_why(error)})")
                        display.end(stage.name, *self.ends[stage.name])
                    return
            else:
                return
            del self.waiting[stage.name]
            self.running[pipe] = Running(stage, process, devices, kills)
            display.start(stage.name, stage.label)

    def _stop(self, at_once: bool) -> None:
        for process in (one.process for one in self.running.values()):
            if at_once:  # asked twice: at the price of the work since the last checkpoint
                process.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    self.ask(process)

    def _hear(self, pipe: Any, display: Display, stopping: bool) -> None:
        """Take one message of a worker, and note its end if it is that."""
        one = self.running[pipe]
        name = one.stage.name
        try:
            message = pipe.recv()
        except EOFError:
            message = {"end": "failed", "reason": self.bury(one)}
        if "end" not in message:
            self.heard(one, message, display)
            return
        if stopping and message["end"] == "failed":
            message = {"end": "stopped"}
        del self.running[pipe]
        pipe.close()
        self.ended(one)
        if self.begins_again(one, message, display):
            self.waiting = {name: one.stage, **self.waiting}
            display.end(name, "waiting", None)
            return
        if message["end"] == "busy":  # another command works on it: look again, its result will serve
            self.waiting[name] = one.stage
            self.busy.add(name)
            self.retry_at = time.monotonic() + POLL_SECONDS
            display.end(name, "waiting", None)
            return
        self.ends[name] = (message["end"], message.get("reason"))
        self.full |= message["end"] == UNWRITABLE
        display.end(name, *self.ends[name])


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__


def refuse(ends: dict[str, tuple[str, str | None]]) -> None:
    """Say that the disk did not take a stage's files, where one ended so."""
    for status, reason in ends.values():
        if status == UNWRITABLE:
            raise StoreError(reason)
