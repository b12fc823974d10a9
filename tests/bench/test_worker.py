"""A killed worker goes on from its last checkpoint and ends with the bytes of an uninterrupted run."""

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sharing import lives

from latent_ot.bench import worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.load import code_std
from latent_ot.bench.plan import StagePlan, decoding
from latent_ot.bench.request import Request
from latent_ot.bench.worker import Order
from latent_ot.budgets import settings
from latent_ot.seeding import generator

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["latent_ot.bench.worker", "lightning"])


def start(benchmark: Benchmark, stage: StagePlan):
    """Start a stage; return its process, the pipe and the stage's folder."""
    request, devices = benchmark.request, ("cpu",) * stage.devices
    order = Order(
        stage.name, stage.job, stage.inputs, request.store, request.data_dir, request.dataset, None, (), None, devices,
        checkpoint_seconds=0.05,
    )  # fmt: skip
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=worker.main, args=(order, theirs), daemon=stage.devices == 1)
    process.start()
    theirs.close()
    return process, ours, benchmark.store.folder(stage.name)


def run_to_end(benchmark: Benchmark, stage: StagePlan) -> Path:
    process, pipe, folder = start(benchmark, stage)
    process.join()
    assert last_word(pipe)["end"] == "done"
    return folder


def last_word(pipe) -> dict:
    """Return the last message that a worker sent before its end."""
    message: dict = {}
    while pipe.poll():
        try:
            message = pipe.recv()
        except EOFError:
            break
    return message


def wait_for_new_checkpoint(process, path: Path, after: int) -> int:
    deadline = time.monotonic() + 600
    while process.is_alive() and time.monotonic() < deadline:
        if path.exists() and path.stat().st_mtime_ns > after:
            return path.stat().st_mtime_ns
        time.sleep(0.001)
    return 0


@pytest.fixture
def request_for(tmp_path):
    def make(name: str, **changes) -> Request:
        return Request("digits", budget="smoke", data_dir=tmp_path / "data", store=tmp_path / name, **changes)

    return make


# Killed, asked to stop, killed, asked: at a checkpoint, between two, long after one, right after a resume.
INTERRUPTIONS = ((signal.SIGKILL, 0.0), (worker.STOP, 0.02), (signal.SIGKILL, 0.11), (worker.STOP, 0.05))


@pytest.mark.parametrize(
    "method", ["gldo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ae_ot_gan", "iwgan", "pggan"))]
)
def test_an_interrupted_run_ends_with_the_same_bytes(method, request_for, monkeypatch):
    monkeypatch.setitem(settings()["budgets"]["smoke"], "images", 1600)
    undisturbed, broken = Benchmark(request_for("whole")), Benchmark(request_for("broken"))
    stages = broken.planner.training(method, 0).stages
    last = decoding(stages)
    for stage in stages[: stages.index(last)]:
        shutil.copytree(run_to_end(broken, stage), undisturbed.store.folder(stage.name))
    whole = run_to_end(undisturbed, last)
    seen, interruptions = 0, 0
    for how, delay in INTERRUPTIONS:
        process, pipe, folder = start(broken, last)
        seen = wait_for_new_checkpoint(process, folder / "last.ckpt", seen)
        time.sleep(delay)
        if process.is_alive():
            os.kill(process.pid, how)
            process.join()
            if not (folder / "result.json").exists():
                interruptions += 1
                if how == worker.STOP:
                    assert last_word(pipe) == {"end": "stopped"}
        pipe.close()
    folder = run_to_end(broken, last)
    assert interruptions >= 1
    files = [p.relative_to(whole) for p in whole.rglob("*") if p.suffix in (".safetensors", ".jsonl")]
    assert Path("model.safetensors") in files
    for name in files:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def ranks_of(process) -> list[int]:
    """Return the processes that a worker has forked, rank 0 first."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_a_stage_on_two_devices_is_done_by_two_processes_of_which_one_writes(request_for, monkeypatch):
    monkeypatch.setitem(settings()["budgets"]["smoke"], "images", 192)
    benchmark = Benchmark(request_for("two", devices_per_run=2))
    (stage, sampler) = benchmark.planner.training("ae+gaussian", 0).stages
    assert (stage.devices, sampler.devices) == (2, 1)
    r, folder = benchmark.request, benchmark.store.folder(stage.name)
    where = r.store, r.data_dir, r.dataset, None, (), None, ("cpu", "cpu")
    ours, theirs = multiprocessing.Pipe(duplex=False)
    end = worker._claimed(Order(stage.name, stage.job, stage.inputs, *where), worker.Line(theirs))
    assert end == {"end": "done"}
    result = benchmark.store.result(stage.name, verify=True)
    assert (result["images_seen"], result["updates"]) == (192, {"autoencoder": 3})
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert {*result["files"]} >= {"config.json", "model.safetensors", "codes.safetensors"}
    assert ours.poll()
    assert "loss" in ours.recv()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in Linux's /proc")
def test_a_run_on_two_devices_that_loses_a_process_is_one_honest_row_and_ends_with_the_same_bytes(
    request_for, monkeypatch
):
    monkeypatch.setitem(settings()["budgets"]["smoke"], "images", 1280)
    undisturbed, broken = (Benchmark(request_for(name, devices_per_run=2)) for name in ("whole", "broken"))
    (stage, *_) = broken.planner.training("gldo", 0).stages
    whole, seen = run_to_end(undisturbed, stage), 0
    said = {
        0: {"end": "failed", "reason": "process 1 of 2 was killed (SIGKILL; out of memory?); run again to resume"},
        1: {"end": "failed", "reason": "process 2 of 2 was killed (SIGKILL; out of memory?); run again to resume"},
        "worker": None,  # its executor says it
        "stop": {"end": "stopped"},
    }
    for whom, wanted in said.items():
        process, pipe, folder = start(broken, stage)
        seen = wait_for_new_checkpoint(process, folder / "last.ckpt", seen)
        ranks = ranks_of(process)
        assert len(ranks) == 2, whom
        how = worker.STOP if whom == "stop" else signal.SIGKILL
        os.kill(process.pid if wanted is None or whom == "stop" else ranks[whom], how)
        process.join(60)
        assert not (folder / "result.json").exists(), whom
        assert wanted is None or last_word(pipe) == wanted
        pipe.close()
        while any(map(lives, ranks)):
            time.sleep(0.01)
    folder = run_to_end(broken, stage)
    for path in (p for p in whole.rglob("*") if p.suffix in (".safetensors", ".jsonl")):
        assert (folder / path.relative_to(whole)).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_a_sampler_that_draws_is_fitted_to_draws_of_the_posteriors(request_for, monkeypatch):
    monkeypatch.setitem(settings()["budgets"]["smoke"], "images", 640)
    monkeypatch.setitem(settings()["budgets"]["smoke"], "codes", 640)
    benchmark, cpu, folders = Benchmark(request_for("draws")), torch.device("cpu"), {}
    pipe = CONTEXT.Pipe(duplex=False)
    for stage in benchmark.planner.training("vae2s", 0).stages:
        folder, line = benchmark.store.folder(stage.name), worker.Line(pipe[1])
        folder.mkdir(parents=True)
        worker._train(stage.job, folders, benchmark.dataset, benchmark.catalog, folder, cpu, 1e9, line)
        folders[stage.job["role"]] = folder
    vae, vae2 = folders.values()
    codes = load_file(vae / "codes.safetensors")["codes"]
    std = code_std(benchmark.catalog, vae, benchmark.dataset.train, cpu)
    drawn = (codes + std * torch.randn(codes.shape, generator=generator(0, "draws"))).double()
    frame = load_file(vae2 / "model.safetensors")
    torch.testing.assert_close(frame["frame.mean"], drawn.mean(dim=0).float())
    torch.testing.assert_close(frame["frame.scale"], drawn.std(dim=0, correction=0).square().mean().sqrt().float())
