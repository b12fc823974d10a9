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
    request = benchmark.request
    order = Order(
        stage.name, stage.job, stage.inputs, request.store, request.data_dir, request.dataset, None, (), None, "cpu",
        checkpoint_seconds=0.05,
    )  # fmt: skip
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=worker.main, args=(order, theirs), daemon=True)
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
    deadline = time.monotonic() + 60
    while process.is_alive() and time.monotonic() < deadline:
        if path.exists() and path.stat().st_mtime_ns > after:
            return path.stat().st_mtime_ns
        time.sleep(0.001)
    return 0


@pytest.fixture
def request_for(tmp_path):
    def make(name: str) -> Request:
        return Request("digits", budget="smoke", data_dir=tmp_path / "data", store=tmp_path / name)

    return make


# Killed, asked to stop, killed, asked: at a checkpoint, between two, long after one, right after a resume.
INTERRUPTIONS = ((signal.SIGKILL, 0.0), (worker.STOP, 0.02), (signal.SIGKILL, 0.11), (worker.STOP, 0.05))


@pytest.mark.parametrize(
    "method", ["gldo", "ae_ot_gan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("iwgan", "pggan"))]
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
