"""A bench with dashboards: what they hold while it trains, when it is killed and when it goes on; no byte moves."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from dashboards import Server, events, rows, wandb_runs
from faults.commands import PATIENCE, difference, outcome

from latent_ot.bench.trackers import base

pytestmark = pytest.mark.slow
TRACKED = ("--track", "wandb,tensorboard", "--track", "csv")


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A machine without an account."""
    pytest.importorskip("wandb")
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [n for n in os.environ if n.startswith("WANDB")]:
        monkeypatch.delenv(name)


def until(true, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def reached(store, name):
    """How many images the one trained stage has seen by what a dashboard was told."""
    with contextlib.suppress(OSError, ValueError):
        notes = json.loads((store / "tracking" / f"{name}.json").read_text())
        return max((note["images"] for note in notes.values()), default=-1)
    return -1


def logged(store):
    (path,) = store.glob("stages/*-vae-ci-*/metrics.jsonl")
    return [json.loads(line)["images_seen"] for line in path.read_text().splitlines()]


def test_a_tracked_bench_has_the_bytes_of_any_other_and_its_dashboards_hold_all(bench):
    words = bench.small("vae")
    assert bench.start(*words).end().code == 0
    plain, bench.store = bench.store, bench.folder / "tracked"
    ended = bench.start(*bench.small("vae", more=TRACKED)).end()
    assert ended.code == 0, ended
    assert ended.left == ()
    lines = [line for line in ended.err.splitlines() if any(name in line for name in ("W&B", "CSV", "TensorBoard"))]
    assert [line[:13] for line in lines] == ["W&B offline: "]
    wanted, found = outcome(plain), outcome(bench.store)
    assert difference(found, wanted) == []
    (log,) = bench.store.glob("stages/*-vae-smoke-*/metrics.jsonl")
    curve = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [row["images_seen"] for row in curve]
    snapshots = sorted(int(path.stem) for path in log.parent.glob("snapshots/*"))

    runs = {part.card["display_name"]: part for (part,) in wandb_runs(bench.store).values()}
    assert {*runs} == {
        "vae-0-smoke", "vae+normal-0-smoke", "data-0-smoke-digits", "vae-0-smoke-digits", "digits-smoke-table",
    }  # fmt: skip
    assert {part.card["run_group"] for part in runs.values()} == {"digits-smoke"}
    trained, scored, table = (runs[name] for name in ("vae-0-smoke", "vae-0-smoke-digits", "digits-smoke-table"))
    assert [(step["_step"], step["loss/loss"]) for step in trained.steps] == [
        (r["images_seen"], r["loss"]) for r in curve
    ]
    assert [step["_step"] for step in trained.steps if "samples._type" in step] == [*snapshots, steps[-1]]
    assert any("images_per_second" in step for step in trained.steps)
    assert trained.summary["status"] == scored.summary["status"] == "done"
    assert {"fid", "fid_low", "seconds", "peak_memory_mb"} <= scored.summary.keys()
    assert {"table._type", "gldo-table1._type"} <= table.steps[0].keys() | {key for step in table.steps for key in step}

    board = bench.store / "tracking" / "tensorboard" / "digits-smoke"
    (folder,) = board.glob("vae-0-smoke-????????")
    told = events(folder)
    assert [step for step, _ in told.scalars["loss/loss"]] == steps
    assert told.images["samples"] == [*snapshots, steps[-1]]
    (folder,) = board.glob("*-table-*")
    assert "| vae |" in "".join(events(folder).texts["table/text_summary"])
    (folder,) = (bench.store / "tracking" / "csv" / "digits-smoke").glob("vae-0-smoke-????????")
    assert [int(row["step"]) for row in rows(folder / "metrics.csv")] == steps

    files = sorted(path for path in (bench.store / "tracking").rglob("*.wandb"))
    assert bench.start(*bench.small("vae", more=TRACKED)).end().code == 0
    assert sorted(path for path in (bench.store / "tracking").rglob("*.wandb")) == files  # nothing was told again


def test_what_was_told_when_a_command_is_killed_stays_and_the_next_one_goes_on(bench):
    words = bench.small("vae", name="train", more=["--budget", "ci", "--track", "wandb,tensorboard"])
    command = bench.start(*words)
    until(lambda: min(reached(bench.store, name) for name in ("wandb", "tensorboard")) >= 960)
    command.send(signal.SIGKILL)
    command.process.wait()
    until(lambda: all(part.ended for parts in wandb_runs(bench.store).values() for part in parts))
    until(lambda: not command.processes())
    ((first,),) = wandb_runs(bench.store).values()
    steps, log = [step["_step"] for step in first.steps], logged(bench.store)
    assert len(steps) >= 3
    assert steps == log[: len(steps)]
    assert first.summary["status"] == "interrupted"
    (folder,) = (bench.store / "tracking" / "tensorboard" / "digits-ci").iterdir()
    told = [step for step, _ in events(folder).scalars["loss/loss"]]
    assert told == log[: len(told)]

    command = bench.start(*words)
    until(lambda: min(reached(bench.store, name) for name in ("wandb", "tensorboard")) > max(steps[-1], told[-1]))
    command.send(signal.SIGTERM)
    command.end().assert_stopped()
    ((first, second),) = wandb_runs(bench.store).values()
    steps = [step["_step"] for part in (first, second) for step in part.steps]
    assert steps == logged(bench.store)[: len(steps)]
    assert len(second.steps) > 0
    with Server() as server:  # both parts are one run where they are sent to
        parts = sorted(map(str, (bench.store / "tracking" / "wandb").glob("offline-run-*")))
        env = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "a" * 40}
        words = [sys.executable, "-m", "wandb", "sync", *parts]
        subprocess.run(words, cwd=bench.folder, env=env, check=True, capture_output=True)
        assert sorted(json.loads(line)["_step"] for line in server.lines) == steps
    assert second.summary["status"] == "stopped"
    assert [step for step, _ in events(folder).scalars["loss/loss"]] == logged(bench.store)


def test_a_server_that_refuses_the_key_or_is_not_there_costs_one_line(bench, monkeypatch):
    """The real wandb, and in place of its server one that refuses, or nobody."""
    monkeypatch.setattr(base, "PATIENCE", 30.0)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with Server(refuses=True) as server:
        for place, why in ((server.url, "401"), ("http://127.0.0.1:9", "refused")):
            monkeypatch.setenv("WANDB_BASE_URL", place)
            ended = bench.run(*bench.small("pca", more=["--track", "wandb"]))
            assert ended.code == 0
            assert "1  pca" in ended.out
            (line,) = [line for line in ended.err.splitlines() if "W&B" in line]
            assert why in line
            assert "for the next command with --track wandb" in line


def test_an_account_has_each_point_once_though_a_process_was_killed_in_between(bench, monkeypatch, tmp_path):
    """What a killed process had sent, the server says; what it had not is sent by the next one."""
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    words = bench.small("vae", name="train", more=["--budget", "ci", "--track", "wandb"])
    with Server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        command = bench.start(*words)
        until(lambda: len(server.lines) > 2)
        command.send(signal.SIGKILL, group=True)
        command.process.wait()
        sent = len(server.lines)
        command = bench.start(*words)
        until(lambda: len(server.lines) > sent + 2)
        command.send(signal.SIGINT)
        command.end().assert_stopped()
        steps = [json.loads(line)["_step"] for line in server.lines]
        assert steps == logged(bench.store)[: len(steps)]
        assert len(steps) >= len(logged(bench.store)) - 1
        assert json.loads(server.summary)["status"] == "stopped"
