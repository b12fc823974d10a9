"""Run stages on this machine as their inputs become ready: one worker per GPU, or per CPU core when there is none."""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from latent_ot.bench import worker
from latent_ot.bench.display import Display
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.store import Store
from latent_ot.bench.worker import STOP, Order

POLL_SECONDS = 1.0  # how often a stage that another command works on is looked at


class Local:
    """Executes stage plans in worker processes, each on the device of its slot."""

    def __init__(self, store: Store, slots: Sequence[str], order: Callable[[StagePlan, str], Order]) -> None:
        self.store, self.slots, self.order = store, list(slots), order
        self.context = multiprocessing.get_context("forkserver")
        # The server imports torch and lightning once (6 s); workers are forks of it, with no thread and no GPU yet.
        self.context.set_forkserver_preload(["latent_ot.bench.worker", "lightning", "sklearn.cluster"])

    def run(self, stages: Sequence[StagePlan], display: Display) -> dict[str, tuple[str, str | None]]:
        """Run every stage that is not done.

        Returns:
            Stage name -> (status, reason): done, reused, diverged, failed, skipped (an input is missing) or stopped.
        """
        ends = self._reuse(stages, display)
        waiting = {stage.name: stage for stage in stages if stage.name not in ends}
        running: dict[Connection, tuple[StagePlan, Any, str]] = {}
        free = list(self.slots)
        asked_to_stop = False
        retry_at = 0.0
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            while waiting or running:
                try:
                    self._skip_orphans(waiting, ends, display)
                    while free and not asked_to_stop and time.monotonic() >= retry_at:
                        stage = next((s for s in waiting.values() if all(i in ends for i in s.inputs)), None)
                        if stage is None:
                            break
                        del waiting[stage.name]
                        slot = free.pop(0)
                        pipe, process = self._start(stage, slot)
                        running[pipe] = (stage, process, slot)
                        display.start(stage.name, stage.label)
                    if asked_to_stop and not running:
                        break
                    for ready in wait(list(running), timeout=POLL_SECONDS):
                        assert isinstance(ready, Connection)
                        stage, process, slot = running[ready]
                        end = self._listen(ready, stage, display)
                        if end is None:
                            continue
                        if asked_to_stop and end["end"] == "failed":
                            end = {"end": "stopped"}
                        del running[ready]
                        ready.close()
                        process.join()
                        free.append(slot)
                        if end["end"] == "busy":  # another command works on it: look again, its result will serve
                            waiting[stage.name] = stage
                            display.end(stage.name, "waiting", None)
                            retry_at = time.monotonic() + POLL_SECONDS
                            continue
                        ends[stage.name] = (end["end"], end.get("reason"))
                        display.end(stage.name, end["end"], end.get("reason"))
                except KeyboardInterrupt:
                    self._stop([process for _, process, _ in running.values()], at_once=asked_to_stop)
                    asked_to_stop = True
        finally:
            signal.signal(signal.SIGINT, previous)
        for name in waiting:
            ends[name] = ("stopped", None)
        return ends

    def _reuse(self, stages: Sequence[StagePlan], display: Display) -> dict[str, tuple[str, str | None]]:
        """Return the ends of the stages that came to one before."""
        ends = {}
        for name in (stage.name for stage in stages):
            found = self.store.result(name)
            if found is not None:
                status = "reused" if found["status"] == "done" else found["status"]
                ends[name] = (status, found.get("reason"))
                display.end(name, "reused", None)
        return ends

    @staticmethod
    def _stop(processes: Sequence[Any], at_once: bool) -> None:
        for process in processes:
            if at_once:  # asked twice: at the price of the work since the last checkpoint
                process.kill()
            else:  # the worker finishes its step, writes a checkpoint and ends
                os.kill(process.pid, STOP)

    def _start(self, stage: StagePlan, slot: str) -> tuple[Connection, Any]:
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=worker.main, args=(self.order(stage, slot), theirs), daemon=True)
        with _without_script():
            process.start()
        theirs.close()
        return ours, process

    def _listen(self, pipe: Connection, stage: StagePlan, display: Display) -> dict[str, Any] | None:
        """Take one message; return the worker's end, or None while it goes on."""
        try:
            message = pipe.recv()
        except EOFError:
            return {"end": "failed", "reason": "the worker was killed (out of memory?); run again to resume"}
        if "end" in message:
            return message
        display.update(stage.name, message)
        return None

    @staticmethod
    def _skip_orphans(waiting: dict[str, StagePlan], ends: dict[str, tuple[str, str | None]], display: Display) -> None:
        """Give up stages whose inputs did not come to be."""
        for name, stage in list(waiting.items()):
            broken = next((i for i in stage.inputs if i in ends and ends[i][0] not in ("done", "reused")), None)
            if broken is not None:
                status, reason = ends[broken]
                ends[name] = (status, reason)
                display.end(name, "skipped", reason)
                del waiting[name]


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """Hide the user's script from a worker, which would run it again to have what stands in it: it needs none of it."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
