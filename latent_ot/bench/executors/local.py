"""Run stages on this machine as their inputs become ready, each in a worker on the devices that it asks for."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, ClassVar

from latent_ot.bench import machine, worker
from latent_ot.bench.death import death
from latent_ot.bench.display import Display
from latent_ot.bench.executors.base import Devices, Executor, Running
from latent_ot.bench.executors.packing import Packing
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.store import Store
from latent_ot.bench.worker import STOP, Order
from latent_ot.interrupts import Wish, end_server, out_of_reach, server

LAUNCHER = (
    "SLURM_", "JSM_NAMESPACE_", "TORCHELASTIC_", "PL_", "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE",
    "MASTER_",
)  # fmt: skip
"""How the names begin by which launchers tell processes of their place among others; Lightning looks at them."""


class Local(Executor):
    """Executes stage plans in worker processes of this machine.

    ``slots``: the devices, one by one; a GPU stands there once for each stage that it takes at a time. ``packing``:
    finds out how many more than that a GPU takes; None: as many.
    """

    answered: ClassVar[int | None] = None
    """Process id of the server of workers that has forked one: its imports are over."""

    def __init__(
        self,
        store: Store,
        slots: Sequence[str],
        order: Callable[[StagePlan, Devices], Order],
        leave_busy: bool = False,
        packing: Packing | None = None,
    ) -> None:
        super().__init__(store, order, leave_busy)
        self.slots, self.packing = list(slots), packing
        self.again: set[str] = set()  # stages that began anew for want of a GPU's memory
        self.shrunk: set[str] = set()  # GPUs that were too full

    @property
    def free(self) -> list[str]:
        """The devices that no stage has now."""
        left = list(self.slots)
        for device in (device for one in self.running.values() for device in one.devices):
            left.remove(device)
        return left

    def room(self, stage: StagePlan) -> Devices:
        """Return as many free devices as the stage takes, no GPU twice; none where there are fewer."""
        free = self.free
        if "cpu" not in free:
            free = list(dict.fromkeys(free))
        return tuple(free[: stage.devices]) if len(free) >= stage.devices else ()

    def _start(self, stage: StagePlan, devices: Devices, wish: Wish) -> tuple[Connection, Any]:
        """Start a worker.

        Raises:
            EOFError, OSError: if the server that is to fork it ends meanwhile.
        """
        context = workers()
        if server() != self.answered:  # its answer may take as long as its imports, and nobody waits for it to stop
            wish.cut = end_server
        try:
            started = forked(self.order(stage, devices), context)
            type(self).answered = server()
        finally:
            wish.cut = None
        return started

    def ask(self, process: Any) -> None:
        """Ask a worker to finish its step, write a checkpoint and end."""
        os.kill(process.pid, STOP)

    def bury(self, one: Running) -> str:
        """Wait for the end of a worker whose line broke, and say what it died of."""
        one.process.join()
        return death(one.process.exitcode, one.oom_kills)

    def heard(self, one: Running, message: dict[str, Any], display: Display) -> None:
        """Take what a run tells; let its GPU take one more if there is a stage to run and room for it."""
        super().heard(one, message, display)
        (device, *_), packing = one.devices, self.packing
        if packing is None or device == "cpu" or self.free or not self.waiting or device in self.shrunk:
            return
        packing.hear(one.stage.name, message)
        here = [run.stage.name for run in self.running.values() if device in run.devices]
        if (why := packing.another(here, len(self.running))) is not None:
            self.slots.append(device)
            display.say(f"{device} takes {len(here) + 1} runs side by side: {why}")

    def ended(self, one: Running) -> None:
        """Take leave of a worker that has told its end."""
        super().ended(one)
        if self.packing is not None:
            self.packing.forget(one.stage.name)

    def begins_again(self, one: Running, message: dict[str, Any], display: Display) -> bool:
        """Take a slot from a GPU whose memory its runs filled, and let the one that said so begin again, once."""
        (device, *others), name = one.devices, one.stage.name
        if not message.get("full") or device == "cpu" or others or self.slots.count(device) < 2 or name in self.again:
            return False
        self.again.add(name)
        self.shrunk.add(device)
        self.slots.remove(device)
        most = self.slots.count(device)
        display.say(f"{one.stage.label}: {message['reason']}; again, with {most} at most on {device}")
        return True


def forked(order: Order, context: Any) -> tuple[Connection, Any]:
    """Fork a worker of the server and return the pipe through which its messages come, and its process.

    Raises:
        EOFError, OSError: if the server ends meanwhile.
    """
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=worker.main, args=(order, theirs))
    try:
        with without_script():
            process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours, process


def workers() -> Any:
    """Return what starts worker processes (multiprocessing's context), once the server that forks them is running.

    It imports torch and lightning once (6 s); its forks have no thread and no GPU yet. Neither it nor they are reached
    by the signals that this process hears, or see variables of a launcher or such as would change sums.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["latent_ot.bench.worker", "lightning", "sklearn.cluster"])
    with out_of_reach(), _no_launcher(), machine.settled():
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _no_launcher() -> Iterator[None]:
    """Hide what a cluster's launcher says of its own processes: a stage is trained by one process, whoever began it."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(LAUNCHER)}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextlib.contextmanager
def without_script() -> Iterator[None]:
    """Hide the user's script from a worker, which would run it again to have what stands in it: it needs none of it."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
