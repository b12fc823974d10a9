"""Run stages on a Ray cluster (https://docs.ray.io) whose nodes have the store under one path, on a shared disk.

A stage's worker is a fork, as on one machine: of a server that a process of Ray's, a ``Host``, keeps on some node. It
serves one stage after another, and holds the CPU cores and the GPUs, or the share of one, that such a stage asks for.
"""

import contextlib
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from latent_ot.bench.death import death, oom_kills
from latent_ot.bench.executors.base import Devices, Executor, Running
from latent_ot.bench.executors.cluster import Cluster, Need
from latent_ot.bench.executors.local import forked, workers
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.store import Store
from latent_ot.bench.worker import STOP, Order
from latent_ot.interrupts import Wish

AGAIN = "run again to resume"


class Host:
    """The process of Ray's on a node: it forks a stage's worker, passes on what it says and tells it to stop."""

    def __init__(self) -> None:
        self.context = workers()

    def begin(self, order: Order) -> None:
        """Fork a worker."""
        self.kills = oom_kills()
        self.pipe, self.process = forked(order, self.context)

    def hear(self) -> dict[str, Any]:
        """Wait for the worker's next message."""
        try:
            message = self.pipe.recv()
        except EOFError:
            self.process.join()
            message = {"end": "failed", "reason": death(self.process.exitcode, self.kills)}
        if "end" in message:
            self.pipe.close()
            self.process.join()
        return message

    def stop(self, at_once: bool) -> None:
        """Ask the worker to end by a checkpoint, or kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL if at_once else STOP)


class Remote:
    """A stage's worker on the cluster, as an executor knows one: a thread here hears its host."""

    def __init__(self, host: Any, need: Need, order: Order) -> None:
        self.host, self.need = host, need
        self.begun = self.lost = False
        self.line, theirs = multiprocessing.Pipe(duplex=False)
        self.thread = threading.Thread(target=self._listen, args=(order, theirs), daemon=True)
        self.thread.start()

    def _listen(self, order: Order, pipe: Connection) -> None:
        import ray

        with pipe, contextlib.suppress(OSError):  # nobody hears any more
            try:
                ray.get(self.host.begin.remote(order))
                self.begun = True
                while "end" not in (message := ray.get(self.host.hear.remote())):
                    pipe.send(message)
            except Exception as error:  # Ray's own, or what a host raised
                self.lost = True
                message = {"end": "failed", "reason": lost(str(error))}
            pipe.send(message)

    def stop(self, at_once: bool) -> None:
        """Ask the worker to end by a checkpoint, or kill it; a host that waits for its place is no more."""
        import ray

        if self.begun:
            self.host.stop.remote(at_once)
        else:
            ray.kill(self.host)

    def kill(self) -> None:
        """Kill the worker."""
        self.stop(at_once=True)

    def join(self) -> None:
        """Wait until its last message is told."""
        self.thread.join()


def lost(said: str) -> str:
    """Return why a host is gone, in a line, by what Ray says of it."""
    if re.search(r"running low on memory|OutOfMemory|OOM", said):
        return f"out of memory: Ray killed the worker's host; {AGAIN}, or with fewer --workers"
    if re.search(r"node (has )?(died|failed)|node was terminated|[Nn]ode is dead", said):
        return f"the node that it ran on is gone from the cluster; {AGAIN}"
    if re.search(r"worker process has died|worker died|connection error|ray\.kill", said):
        return f"Ray's process that kept its worker was killed; {AGAIN}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"its worker could not be started by Ray ({(lines or ['no reason given'])[-1][:160]}); {AGAIN}"


class OnRay(Executor):
    """Executes stage plans on a cluster.

    ``need``: what a stage asks for. ``most``: how many stages at once, if that is limited.
    """

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        order: Callable[[StagePlan, Devices], Order],
        most: int | None = None,
        leave_busy: bool = False,
    ) -> None:
        super().__init__(store, order, leave_busy)
        self.cluster, self.most = cluster, most
        self.idle: list[tuple[Need, Any]] = []

    def room(self, stage: StagePlan) -> Devices:
        """Return the devices that the stage will see on its node, if the cluster has room for it.

        Raises:
            OSError: if no node is as large.
        """
        need = self.cluster.need(stage)
        nodes = self.cluster.nodes()
        if not any(need.within(node) for node in nodes):
            raise OSError(f"no node of the cluster has {need}; {AGAIN}")
        if self.most is not None and len(self.running) >= self.most:
            return ()
        left = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        for taken in (one.process.need for one in self.running.values()):
            left["CPU"] -= taken.cpus
            left["GPU"] -= taken.gpus
        kind = "cuda:{}" if need.gpus else "cpu"
        return tuple(kind.format(number) for number in range(stage.devices)) if need.within(left) else ()

    def _start(self, stage: StagePlan, devices: Devices, wish: Wish) -> tuple[Connection, Any]:
        """Hand a stage to a host: one that served a stage with the same needs, or a new one."""
        import ray

        need = self.cluster.need(stage)
        host = next((host for known, host in self.idle if known == need), None)
        if host is not None:
            self.idle.remove((need, host))
        else:
            self._dismiss()  # what they hold may be what this one waits for
            made = ray.remote(Host).options(
                num_cpus=need.cpus, num_gpus=need.gpus, max_concurrency=2, max_restarts=0, max_task_retries=0
            )
            host = made.remote()
        worker = Remote(host, need, everywhere(self.order(stage, devices)))
        return worker.line, worker

    def ask(self, process: Remote) -> None:
        """Ask a worker to finish its step, write a checkpoint and end."""
        process.stop(at_once=False)

    def bury(self, one: Running) -> str:
        """Say what became of a worker of which this process heard no end."""
        return f"its line from the cluster broke; {AGAIN}"

    def ended(self, one: Running) -> None:
        """Keep the worker's host for the next stage."""
        super().ended(one)
        if not one.process.lost:
            self.idle.append((one.process.need, one.process.host))

    def _dismiss(self) -> None:
        """Let hosts go that serve no stage."""
        import ray

        while self.idle:
            ray.kill(self.idle.pop()[1])


def everywhere(order: Order) -> Order:
    """Return an order whose paths mean the same in any folder."""
    kind, _, path = order.source.partition(":")
    return replace(
        order,
        store=order.store.resolve(),
        data_dir=order.data_dir.resolve(),
        source=f"{kind}:{Path(path).resolve()}" if kind == "folder" else order.source,
        plugins=tuple(plugin.resolve() for plugin in order.plugins),
        weights=order.weights and order.weights.resolve(),
        drawn=order.drawn and order.drawn.resolve(),
    )
