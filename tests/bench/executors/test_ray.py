"""Stages on a Ray cluster: where there is room, how deaths are told; slow: on a real one."""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from clusters import cluster, stage
from faults.commands import PATIENCE, ROOT, Bench, difference, outcome

from latent_ot import inventory
from latent_ot.bench.executors import base, ray
from latent_ot.bench.executors.base import Executor
from latent_ot.bench.executors.cluster import LOCAL_BYTES, QUIET, Need
from latent_ot.bench.executors.ray import OnRay, lost
from latent_ot.bench.request import Request
from latent_ot.errors import InputError

EMPTY = SimpleNamespace(result=lambda name: None)


class Shown:
    """A display that keeps the ends that it is told."""

    def __init__(self):
        self.ends = []

    def start(self, name, label): ...

    def end(self, name, status, reason):
        self.ends.append((name, status))


class Told(Executor):
    """An executor whose workers say at once what they are given to say, one message list for each start."""

    def __init__(self, says, leave_busy=False):
        super().__init__(EMPTY, lambda stage, devices: None, leave_busy)
        self.says, self.started = {name: list(ends) for name, ends in says.items()}, []

    def room(self, stage):
        return ("cpu",)

    def _start(self, stage, devices, wish):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        self.started.append(stage.name)
        theirs.send({"end": self.says[stage.name].pop(0)})
        theirs.close()
        return ours, SimpleNamespace(join=lambda: None, kill=lambda: None)

    def ask(self, process): ...

    def bury(self, one):
        return "gone"


def test_a_command_leaves_what_others_work_on_once_nothing_else_is_left(monkeypatch):
    monkeypatch.setattr(base, "POLL_SECONDS", 0.01)
    one = Told({"mine": ["done"], "theirs": ["busy"] * 99}, leave_busy=True)
    ends = one.run([stage("theirs"), stage("mine"), stage("after", inputs=("theirs",))], Shown())
    left = ("busy", "another command works on it")
    assert ends == {"mine": ("done", None), "theirs": left, "after": left}
    assert "mine" in one.started


def test_a_command_that_waits_takes_the_result_of_the_other(monkeypatch):
    monkeypatch.setattr(base, "POLL_SECONDS", 0.01)
    assert Told({"theirs": ["busy", "busy", "done"]}).run([stage("theirs")], Shown()) == {"theirs": ("done", None)}


def test_stages_have_room_while_the_cluster_has_what_they_need():
    nodes = [{"CPU": 6.0, "GPU": 1.0}]
    found = OnRay(EMPTY, cluster(nodes), lambda *_: None)
    took = 0
    while devices := found.room(stage("a")):
        assert devices == ("cuda:0",)
        found.running[took] = SimpleNamespace(process=SimpleNamespace(need=Need(2, 0.25)))
        took += 1
    assert took == 3  # of CPU cores, though a quarter of the GPU is left
    nodes[0]["CPU"] = 100.0
    assert found.room(stage("a")) == ("cuda:0",)
    assert found.room(stage("a", "evaluate")) == ("cpu",)
    found.most = 3
    assert found.room(stage("a")) == ()


def test_a_stage_that_fits_no_node_is_a_row_that_says_so():
    found = OnRay(EMPTY, cluster([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}]), lambda *_: None)
    (end,) = found.run([stage("a", devices=2)], Shown()).values()
    why = "no node of the cluster has 4 CPU cores and 2 GPUs; run again to resume"
    assert end == ("failed", f"its worker could not be started ({why})")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The actor died because its node has died. Node Id: 0", "the node that it ran on is gone"),
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", "Ray's process"),
        ("Task was killed due to the node running low on memory.", "out of memory: Ray killed"),
        ("x\nModuleNotFoundError: No module named 'latent_ot'", "its worker could not be started by Ray (ModuleNot"),
    ],
)
def test_why_a_host_is_gone_is_said(said, told):
    assert lost(said).startswith(told)
    assert "run again to resume" in lost(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"executor": "rai"}, "executor 'rai' is unknown; allowed: local, ray; nearest: ray"),
        ({"address": "auto"}, "address = 'auto' with executor 'local'; allowed: with ray"),
        ({"executor": "ray", "gpu_share": 0.0}, "gpu_share = 0.0; allowed: a share of one GPU, 0.01 to 1"),
        ({"executor": "ray", "scoring_gpu_share": 2}, "scoring_gpu_share = 2; allowed: a share of one GPU, 0 to 1"),
    ],
)
def test_a_request_refuses_what_no_executor_takes(given, said):
    with pytest.raises(InputError) as refused:
        Request("digits", **given)
    assert str(refused.value).startswith(said)


def test_an_order_means_the_same_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    order = ray.Order("a", {}, (), Path("runs"), Path("data"), "folder:mine", None, (Path("p.py"),), None, ("cpu",))
    found = ray.everywhere(order)
    assert found.source == f"folder:{tmp_path / 'mine'}"
    assert (found.store, found.plugins, found.weights) == (tmp_path / "runs", (tmp_path / "p.py",), None)
    assert ray.everywhere(replace(order, source="digits")).source == "digits"


METHODS = ("pca", "ae+gaussian", "vae")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}  # else Ray writes one into the home folder


def holders(path):
    """Return the processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(path):
                found.add(int(link.parts[2]))
    return found


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def on_ray(bench, *methods, more=("--gpus", "0")):
    return bench.start(*bench.small(*methods, more=("--executor", "ray", *more)), env=TOKEN)


def worker_of(command, bench, method="vae"):
    """Wait until a method is trained, and return the process that does it: it alone writes the stage's log."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = {pid for log in bench.store.resolve().glob(f"stages/*-{method}-*/log.txt") for pid in holders(log)}
        if found:
            (pid,) = found
            return pid
        assert command.process.poll() is None, command.files[1].read_text()
        time.sleep(0.02)
    raise AssertionError(command.files[1].read_text())


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd):
    return Bench(tmp_path, monkeypatch, capfd)


@pytest.fixture(scope="module")
def by_local(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("local"), None, None)
    assert made.start(*made.small(*METHODS)).end().code == 0
    return outcome(made.store)


@pytest.mark.slow
def test_a_cluster_makes_the_bytes_that_this_machine_makes_though_it_was_stopped(bench, by_local):
    command = on_ray(bench, *METHODS)
    worker_of(command, bench)
    command.send(signal.SIGINT, group=True)
    command.end().assert_stopped()
    assert on_ray(bench, *METHODS).end().code == 0
    assert difference(outcome(bench.store), by_local) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "said"),
    [("worker", "the worker was killed (SIGKILL"), ("host", "Ray's process that kept its worker was killed")],
)
def test_what_is_killed_on_a_cluster_is_one_row_that_says_so_and_goes_on(who, said, bench):
    command = on_ray(bench, "vae")
    worker = worker_of(command, bench)
    host = parent(parent(worker))  # a worker is a fork of the server's, which is the host's
    os.kill(worker if who == "worker" else host, signal.SIGKILL)
    ended = command.end()
    assert ended.code == 1, ended
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert on_ray(bench, "vae").end().code == 0


@pytest.fixture
def node(tmp_path):
    """Start a node by what ``ray start`` takes, and return its process, the first of a session, once it is there."""
    started = []

    def start(*words):
        command = [Path(sys.executable).with_name("ray"), "start", "--block", *words]
        command += ["--disable-usage-stats", "--object-store-memory", str(LOCAL_BYTES)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, **QUIET, **TOKEN, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        said = tmp_path / f"node{len(started)}.txt"
        with said.open("w") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        while "Ray runtime started" not in said.read_text():
            assert process.poll() is None, said.read_text()
            time.sleep(0.1)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_login_node_hands_stages_to_another_and_a_node_that_is_killed_is_one_row_that_says_so(node, bench):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node("--head", "--port", str(port), "--num-cpus", "0", "--include-dashboard", "false")
    given = ("--gpus", "0", "--address", f"127.0.0.1:{port}")
    without = on_ray(bench, "vae", more=given).end()
    assert (without.code, without.err.count("\n")) == (2, 1), without
    assert "none of the cluster's nodes has CPU cores" in without.err
    join = ("--address", f"127.0.0.1:{port}", "--num-cpus", "2")
    working = node(*join)
    command = on_ray(bench, "vae", more=given)
    worker_of(command, bench)
    os.killpg(working.pid, signal.SIGKILL)
    ended = command.end()
    assert ended.code == 1, ended
    assert "the node that it ran on is gone from the cluster; run again to resume" in ended.err
    assert "Traceback" not in ended.err
    node(*join)
    assert on_ray(bench, "vae", more=given).end().code == 0


def test_doctor_tells_whether_a_disk_keeps_locks(tmp_path, monkeypatch):
    assert inventory._locks(tmp_path / "runs") == "ready, its disk keeps locks"
    monkeypatch.setattr(inventory, "OTHER", "")  # another process that gets the lock has nothing to say
    assert inventory._locks(tmp_path / "runs").startswith("its disk keeps no locks")
    assert [*(tmp_path / "runs" / "locks").iterdir()] == []
