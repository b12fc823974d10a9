"""A Ray cluster (https://docs.ray.io): joining it, what its nodes have and lack, and what stages ask of them."""

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_ot._version import __version__
from latent_ot.bench import machine
from latent_ot.bench.plan import StagePlan
from latent_ot.catalog import SCORING
from latent_ot.errors import InputError
from latent_ot.files import locked, shown
from latent_ot.interrupts import SIGNALS

AUTO = "auto"
WHERE = (
    f"host:port of a cluster's head (this machine has to be a node of it: ray start), or {AUTO}: that of this machine"
)
STARTING = "start one that has: ray start --address HEAD:PORT"
TOKEN = "set RAY_AUTH_MODE=token here and on every node, which have the head's ~/.ray/auth_token"
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
        told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "latent_ot"}
        if self.address is None:
            told |= {"address": "local", "num_cpus": machine.cores(), "include_dashboard": False}
            told["object_store_memory"] = LOCAL_BYTES
        else:
            knock(self.address)
            told["address"] = self.address  # "auto" as it is: for that word Ray takes its token along
        try:
            with _own_signals(starts=self.address is None):
                ray.init(**told)
        except Exception as error:  # of many types
            raise InputError(unjoined(self.address, error)) from None

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


def unjoined(address: str | None, error: BaseException) -> str:
    """Return in a line why Ray did not join the cluster of an address, or, without one, did not start one here."""
    said = str(error.__cause__ or error)
    why = next(iter(said.splitlines()), type(error).__name__)[:160]
    if "AuthToken" in said:
        return f"address '{address}': Ray there wants a token; {TOKEN}"
    if address is None:
        return f"executor 'ray': no cluster starts on this machine ({why})"
    return f"address '{address}': no Ray answers there ({why}); allowed: {WHERE}"


def knock(address: str) -> None:
    """See that what may be a cluster's head answers at an address: Ray itself would wait for one for minutes.

    Raises:
        InputError: if there is none.
    """
    there = _of_this_machine() if address == AUTO else address
    found = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", there)
    if found is None or "//" in there:
        raise InputError(f"address '{address}'; allowed: {WHERE}")
    at = f"'{address}'" if there == address else f"'{address}' ({there})"
    try:
        with socket.create_connection((found[1], int(found[2])), DOOR_SECONDS) as door:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return
            door.sendall(HELLO)
            with door.makefile("rb") as said:
                frame = said.read(len(SETTINGS))
    except (OSError, OverflowError) as error:
        raise InputError(f"address {at}: no Ray answers there ({error}); allowed: {WHERE}") from None
    if frame[3:4] != SETTINGS[3:4]:  # by which the other side begins, too
        raise InputError(f"address {at}: no Ray answers there (something else listens); allowed: {WHERE}")


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


@contextlib.contextmanager
def _own_signals(starts: bool) -> Iterator[None]:
    """Keep Ray from taking signals of this process and, where it ``starts`` others, those to the group from them.

    They wait meanwhile, as SIGTERM does in any case, for which Ray has a handler; joining what runs may take a minute.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS if starts else {signal.SIGTERM})
    try:
        yield
    finally:
        for number, handler in before.items() if main else ():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # last: what waited is heard by whom it was meant for
        sys.stdout.flush()
