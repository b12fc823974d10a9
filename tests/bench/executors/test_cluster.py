"""A Ray cluster: what stages ask for, what nodes lack, and what is said where there is none; no Ray is started."""

import contextlib
import errno
import os
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from clusters import cluster, stage
from faults.commands import Bench

from latent_ot._version import __version__
from latent_ot.bench.executors import cluster as module
from latent_ot.bench.executors.cluster import SETTINGS, WHERE, Need, knock, lacking, probe, unjoined
from latent_ot.errors import InputError
from latent_ot.files import locked

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd):
    return Bench(tmp_path, monkeypatch, capfd)


def test_scoring_holds_no_gpu_small_runs_share_one_and_several_devices_are_whole():
    found = cluster([])
    assert found.need(stage("a")) == Need(2, 0.25)
    assert found.need(stage("a", "evaluate")) == Need(2, 0.0)
    assert found.need(stage("a", devices=3)) == Need(6, 3.0)
    assert cluster([], gpus=False).need(stage("a", devices=3)) == Need(6, 0.0)
    assert cluster([], scoring=0.5).need(stage("a", "evaluate")) == Need(2, 0.5)


def test_a_login_node_without_a_gpu_counts_those_of_the_others():
    found = cluster([{}, {"CPU": 8.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}])
    assert found.total("GPU") == 6
    found.admit([stage("a", devices=4), stage("b", "evaluate")])
    with pytest.raises(InputError) as refused:
        found.admit([stage("b", "evaluate"), stage("a", devices=5)])
    assert str(refused.value) == (
        "threads = 2, devices_per_run = 5: a stage asks one node for 10 CPU cores and 5 GPUs; "
        "allowed: what one of the cluster's has (16 CPU cores and 2 GPUs; 8 CPU cores and 4 GPUs)"
    )


def test_a_probe_tells_what_a_node_lacks(tmp_path):
    token = tmp_path / "a.lock"
    look = probe()
    assert "store" in lacking(look(str(token)))
    token.touch()
    assert "takes a lock" in lacking(look(str(token)))  # nobody holds it: the disk of a holder elsewhere kept nothing
    with locked(token):
        assert lacking(look(str(token))) is None


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"version": None}, "has no latent_ot; install it there"),
        ({"version": "0.0.1"}, f"has latent_ot 0.0.1; allowed: {__version__}"),
        ({"version": __version__, "lacks": ["torch"], "store": False}, "lacks torch"),
        ({"error": "boom"}, "cannot be asked what it has (boom)"),
    ],
)
def test_what_a_node_lacks_is_said(told, said):
    assert lacking(told).startswith(said)


def test_a_node_without_the_package_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "latent_ot._version", None)  # as if it could not be imported
    assert lacking(probe()(str(tmp_path))).startswith("has no latent_ot")


@pytest.mark.parametrize("address", ["nowhere", "ray://a:1", "127.0.0.1:1", "127.0.0.1:99999", "a b:1"])
def test_an_address_where_nothing_answers_is_one_line(address):
    with pytest.raises(InputError, match=r"^address '.*allowed: host:port"):
        knock(address)


@pytest.fixture
def door(monkeypatch):
    """Return the address of a server that says given bytes to the one who comes, and then waits for him to leave."""
    monkeypatch.setattr(module, "DOOR_SECONDS", 0.2)
    with contextlib.ExitStack() as left:

        def opened(says):
            server = left.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with server.accept()[0] as line, contextlib.suppress(ConnectionResetError):
                    line.sendall(says)
                    while line.recv(100):
                        pass

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            left.callback(thread.join)
            return f"127.0.0.1:{server.getsockname()[1]}"

        yield opened


@pytest.mark.parametrize(
    ("says", "why"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else listens"), (b"", "timed out")],
)
def test_an_address_where_something_else_answers_or_nobody_does_is_one_line(says, why, door):
    with pytest.raises(InputError, match=rf"^address '127.*': no Ray answers there \({why}\); allowed: host:port"):
        knock(door(says))


def test_an_address_where_what_speaks_as_ray_does_is_taken(door):
    knock(door(SETTINGS))


def test_auto_is_the_cluster_of_this_machine_and_one_line_where_there_is_none(door, monkeypatch):
    def known(*_):
        if kept is None:
            raise ConnectionError("none")
        return kept

    services = SimpleNamespace(get_ray_address_from_environment=known)
    monkeypatch.setitem(sys.modules, "ray._private", SimpleNamespace(services=services))
    kept = door(SETTINGS)
    knock("auto")
    kept = None
    with pytest.raises(InputError, match=r"^address 'auto': no Ray runs on this machine; allowed: host:port"):
        knock("auto")
    kept = "127.0.0.1:1"  # of a cluster that was killed
    with pytest.raises(InputError, match=r"^address 'auto' \(127\.0\.0\.1:1\): no Ray answers there"):
        knock("auto")


@pytest.mark.parametrize(
    ("there", "more", "said"),
    [
        (None, (), "latent-ot: executor 'ray': Ray is not installed; pip install 'latent_ot[ray]'\n"),
        (
            SimpleNamespace(is_initialized=lambda: False),
            ("--address", "127.0.0.1:1"),
            f"latent-ot: address '127.0.0.1:1': no Ray answers there ({REFUSED}); allowed: {WHERE}\n",
        ),
    ],
)
def test_a_command_without_a_cluster_ends_before_any_work(there, more, said, bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", there)
    ended = bench.run(*bench.small("pca", more=("--executor", "ray", *more)))
    assert (ended.code, ended.out, ended.err) == (2, "", said)
    assert not bench.store.exists()


def test_ray_that_wants_a_token_is_one_line_and_so_is_a_cluster_that_does_not_start():
    error = ConnectionError("Failed to connect to Ray cluster at a:1")
    assert unjoined("a:1", error).startswith("address 'a:1': no Ray answers there (Failed to connect to Ray cluster at")
    error.__cause__ = RuntimeError("no node info found")
    assert unjoined("a:1", error).startswith("address 'a:1': no Ray answers there (no node info found); allowed:")
    error.__cause__ = RuntimeError("x\nAuthenticationError: RPC error: InvalidAuthToken: token is missing")
    assert unjoined("a:1", error).startswith("address 'a:1': Ray there wants a token; set RAY_AUTH_MODE=token here")
    assert unjoined(None, OSError("full\ndisk")) == "executor 'ray': no cluster starts on this machine (full)"


def test_a_cluster_whose_nodes_have_no_cores_is_one_line(tmp_path, monkeypatch):
    login = {"Alive": True, "Resources": {"memory": 1.0}, "NodeID": "a", "NodeManagerAddress": "here"}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: [login]))
    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=None)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    found = cluster([])
    with pytest.raises(InputError, match=r"^address 'a:1': none of the cluster's nodes has CPU cores; start one"):
        found.check(tmp_path)
