"""A bench whose runs take two processes each: killed in part, stopped, whole; it ends with the same bytes."""

import os
import signal
import time
from pathlib import Path

import pytest
from faults.commands import Bench, difference, outcome

from latent_ot.bench.machine import cores

TWO = ("--gpus", "0", "--devices-per-run", "2")


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def training(bench, command):
    """Wait until two ranks train and have left a checkpoint; return them: command, server, worker, ranks."""
    while command.process.poll() is None:
        workers = [worker for server in children(command.pid) for worker in children(server)]
        pairs = [ranks for ranks in map(children, workers) if len(ranks) == 2]
        if pairs and [*bench.store.glob("stages/*gldo*/metrics.jsonl")]:
            return pairs[0]
        time.sleep(0.01)
    raise AssertionError("it ended before")


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two devices are two cores")
@pytest.mark.skipif(not children(os.getppid()), reason="children are found in Linux's /proc")
def test_a_bench_that_loses_a_rank_is_one_row_and_goes_on_to_the_same_bytes(tmp_path, monkeypatch, capfd):
    whole, broken = (Bench(tmp_path / name, monkeypatch, capfd) for name in ("whole", "broken"))
    for bench in (whole, broken):
        bench.folder.mkdir()
    assert whole.start(*whole.small("gldo", more=TWO)).end().code == 0
    for number in (0, 1):
        command = broken.start(*broken.small("gldo", more=TWO))
        os.kill(training(broken, command)[number], signal.SIGKILL)
        ended = command.end()
        assert (ended.code, ended.left) == (1, ()), ended
        assert f"process {number + 1} of 2 was killed (SIGKILL" in ended.out
        assert "Traceback" not in ended.err
    command = broken.start(*broken.small("gldo", more=TWO))
    training(broken, command)
    command.send(signal.SIGINT, group=True)
    command.end().assert_stopped()
    assert broken.start(*broken.small("gldo", more=TWO)).end().code == 0
    assert difference(outcome(broken.store), outcome(whole.store)) == []
