"""Run stages on a Ray cluster (https://docs.ray.io) whose nodes have the store under one path, on a shared disk.

A stage's worker is a fork, as on one machine: of a server that a process of Ray's, a ``Host``, keeps on some node. It
serves one stage after another, and holds the CPU cores and the GPUs, or the share of one, that such a stage asks for.
"""

import contextlib
import logging
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from latent_ot._version import __version__
from latent_ot.bench import machine
from latent_ot.bench.death import death, oom_kills
from latent_ot.bench.executors.base import Devices, Executor, Running
from latent_ot.bench.executors.local import forked, workers
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.store import Store
from latent_ot.bench.worker import STOP, Order
from latent_ot.catalog import SCORING
from latent_ot.errors import InputError
from latent_ot.files import locked, shown
from latent_ot.interrupts import SIGNALS, Wish

AUTO = "auto"
WHERE = (
    f"host:port of a cluster's head (this machine has to be a node of it: ray start), or {AUTO}: that of this machine"
)
STARTING = "start one that has: ray start --address HEAD:PORT"
AGAIN = "run again to resume"
DOOR_SECONDS = 5.0
"""How long a head may take to open its door, and to answer."""
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
"""How a client of HTTP/2 begins, which Ray's head speaks: a preface and a frame of settings (RFC 9113, 3.4 and 6.5)."""
LOCAL_BYTES = 100 * 2**20  # of shared memory of a cluster that is started here: stages pass files, not objects
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}
"""What keeps Ray from reporting to its makers, and from lines that are none of ours."""


@dataclass(frozen=True)
class Need:
    """What a stage asks of one node: CPU cores, and GPUs or the share of one."""

    cpus: int
    gpus: float

    def within(self, has: Mapping[str, float]) -> bool:
        """Whether a node, or what is left, has as much."""
        return self.cpus <= has.get("CPU", 0) and self.gpus <= has.get("GPU", 0) + 1e-6

    def __str__(self) -> str:
        return f"{self.cpus} CPU cores and {self.gpus:g} GPUs"


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
        cluster: "Cluster",
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


class Cluster:
    """The cluster of an address, or one on this machine that is started for it and ends with it.

    ``gpus``: whether stages may ask for GPUs. ``share``: how much of one a training takes that runs on one device;
    ``scoring``: how much a scoring does, most of which is CPU work.
    """

    def __init__(self, address: str | None, threads: int, share: float, scoring: float) -> None:
        self.address, self.threads, self.share, self.scoring = address, threads, share, scoring
        self.gpus = True
        self.open()

    def open(self) -> None:
        """Join the cluster, unless this process has.

        Raises:
            InputError: if Ray is not installed, or none answers at the address.
        """
        try:
            import ray
        except ImportError:
            raise InputError("executor 'ray': Ray is not installed; pip install 'latent_ot[ray]'") from None
        if ray.is_initialized():
            return
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if self.address is None:
            given: dict[str, Any] = {"address": "local", "num_cpus": machine.cores(), "include_dashboard": False}
            given["object_store_memory"] = LOCAL_BYTES
        else:
            given = {"address": knock(self.address)}
        try:
            with _own_signals():
                ray.init(**given, log_to_driver=False, logging_level=logging.ERROR, namespace="latent_ot")
        except Exception as error:  # of many types
            first = next(iter(str(error).splitlines()), type(error).__name__)[:160]
            raise InputError(f"address '{self.address}': no Ray answers there ({first}); allowed: {WHERE}") from None

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        import ray

        ray.shutdown()

    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of each node that lives."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def admit(self, stages: Iterable[StagePlan]) -> None:
        """See that each stage fits some node.

        Raises:
            InputError: saying what the stage asks for, and what the nodes have.
        """
        nodes = self.nodes()
        for stage in stages:
            need = self.need(stage)
            if not any(need.within(node) for node in nodes):
                have = sorted({str(Need(int(n.get("CPU", 0)), n.get("GPU", 0.0))) for n in nodes if n.get("CPU")})
                raise InputError(
                    f"threads = {self.threads}, devices_per_run = {stage.devices}: a stage asks one node for {need}; "
                    f"allowed: what one of the cluster's has ({'; '.join(have)})"
                )

    def total(self, resource: str) -> int:
        """Return how many there are in all."""
        return int(sum(node.get(resource, 0) for node in self.nodes()))

    def need(self, stage: StagePlan) -> Need:
        """Return what a stage asks for: of several devices, each whole."""
        share = self.scoring if stage.job["role"] in SCORING else self.share
        gpus = float(stage.devices) if stage.devices > 1 else share
        return Need(self.threads * stage.devices, gpus if self.gpus else 0.0)

    def check(self, store: Path) -> None:
        """See that every node that is to work has the package, the store and its locks.

        Raises:
            InputError: naming the node and what it lacks.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        token = store.resolve() / "locks" / f"cluster-{uuid.uuid4().hex}.lock"
        working = {
            n["NodeID"]: n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")
        }
        if not working:
            raise InputError(f"address '{self.address}': none of the cluster's nodes has CPU cores; {STARTING}")
        with locked(token):
            look = ray.remote(num_cpus=0, max_retries=0)(probe())
            asked = [look.options(scheduling_strategy=On(node, soft=False)).remote(str(token)) for node in working]
            found = [_answer(one) for one in asked]
        token.unlink(missing_ok=True)
        for name, told in zip(working.values(), found, strict=True):
            if why := lacking(told):
                raise InputError(f"node {name} {why}".replace("STORE", f"'{shown(store.resolve())}'"))


def _answer(asked: Any) -> dict[str, Any]:
    import ray

    try:
        return ray.get(asked, timeout=120)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return {"error": (lines or [type(error).__name__])[-1][:160]}


def probe() -> Callable[[str], dict[str, Any]]:
    """Return a function that tells what a node has; it is sent whole, so that it runs where the package is not."""

    def look(token: str) -> dict[str, Any]:
        import importlib.util
        import os

        try:
            from latent_ot._version import __version__ as version
        except ImportError:
            return {"version": None}
        lacks = [name for name in ("torch", "lightning", "filelock") if importlib.util.find_spec(name) is None]
        if lacks or not os.path.exists(token):
            return {"version": version, "lacks": lacks, "store": False}
        from filelock import FileLock, Timeout

        try:
            with FileLock(token, timeout=0):
                return {"version": version, "lacks": lacks, "store": True, "locks": False}
        except Timeout:
            return {"version": version, "lacks": lacks, "store": True, "locks": True}

    return look


def lacking(told: Mapping[str, Any]) -> str | None:
    """Return what a node lacks by what its ``probe`` told while the token was locked; STORE stands for the store."""
    if "error" in told:
        return f"cannot be asked what it has ({told['error']}); take it out of the cluster, or mend it"
    if told["version"] is None:
        return f"has no latent_ot; install it there (version {__version__}), or take it out of the cluster"
    if told["version"] != __version__:
        return f"has latent_ot {told['version']}; allowed: {__version__}, as here"
    if told["lacks"]:
        return f"lacks {', '.join(told['lacks'])}; install latent_ot there with what it needs"
    if not told["store"]:
        return "does not see the store STORE; allowed: a --store on a disk that all nodes have under this path"
    if not told["locks"]:
        return "takes a lock in STORE that is held here; allowed: a --store on a disk with file locks"
    return None


def knock(address: str) -> str:
    """Return the address of what may be a cluster's head: Ray itself would wait for one for minutes, deaf to Ctrl-C.

    Raises:
        InputError: if there is none.
    """
    there = _of_this_machine() if address == AUTO else address
    found = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", there)
    if found is None or "//" in there:
        raise InputError(f"address '{address}'; allowed: {WHERE}")
    try:
        with socket.create_connection((found[1], int(found[2])), DOOR_SECONDS) as door:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return there
            door.sendall(HELLO)
            with door.makefile("rb") as said:
                frame = said.read(len(SETTINGS))
    except (OSError, OverflowError) as error:
        raise _silent(address, there, error) from None
    if frame[3:4] != SETTINGS[3:4]:  # by which the other side begins, too
        raise _silent(address, there, "something else listens")
    return there


def _of_this_machine() -> str:
    """Return the address of the cluster that this machine is a node of, by what Ray keeps of it.

    Raises:
        InputError: if it is a node of none.
    """
    from ray._private import services  # it has no public name

    try:
        return str(services.get_ray_address_from_environment(AUTO, None))
    except ConnectionError:
        raise InputError(f"address '{AUTO}': no Ray runs on this machine; allowed: {WHERE}") from None


def _silent(address: str, there: str, why: object) -> InputError:
    at = f" ({there})" if there != address else ""
    return InputError(f"address '{address}'{at}: no Ray answers there ({why}); allowed: {WHERE}")


@contextlib.contextmanager
def _own_signals() -> Any:
    """Keep Ray from taking signals of this process, and signals to its whole group from what it starts."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items() if main else ():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        sys.stdout.flush()
