"""What a benchmark would do, how it stands, and how long it takes: from earlier stages, or from ten steps."""

import json
from dataclasses import replace

import pytest
import torch

from latent_ot.bench import forecast as module
from latent_ot.bench import machine
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.forecast import Forecast, outlook, together
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.request import Request
from latent_ot.bench.store import CONFIG, finish
from latent_ot.errors import InputError
from latent_ot.files import write_json
from latent_ot.report.forecast import forecast_grid
from latent_ot.report.text import to_text


def new(name, seconds, *inputs, state="new", **job):
    return Forecast(StagePlan(name, name, name, job, inputs), state, 0.0, seconds, "")


def test_workers_share_what_is_left_as_its_inputs_become_ready():
    assert together([], 2) == 0
    assert together([new(name, 10.0) for name in "abc"], 2) == 20
    assert together([new("a", 10.0), new("b", 5.0, "a"), new("c", 7.0)], 2) == 15
    assert together([new("a", 10.0), new("b", 5.0, "a"), new("c", 7.0)], 1) == 22
    assert together([new("a", 0.0, state="done"), new("b", 5.0, "a"), new("c", None)], 1) == 5
    assert together([new("b", 5.0, "of a run that diverged")], 1) == 0
    several = [new("a", 10.0), new("b", 5.0, devices=2), new("c", 7.0)]  # b waits for both devices, c does not
    assert together(several, 2) == 15


@pytest.fixture
def benchmark(tmp_path):
    asked = Request("digits", ["vae"], [0, 1], "smoke", tmp_path / "data", tmp_path / "runs", gpus=0, workers=1)
    return Benchmark(asked)


def end(benchmark, stage, **told):
    """Leave what a finished stage leaves."""
    folder = benchmark.store.folder(stage.name)
    folder.mkdir(parents=True)
    write_json(folder / CONFIG, {"job": stage.job})
    here = {**machine.describe(torch.device("cpu")), "threads": 1}
    finish(folder, {"status": "done", "seconds": 0.0, "wall_seconds": 1.0, "machine": here, **told})


def test_stages_are_known_from_those_of_this_machine_and_else_measured_once(benchmark, monkeypatch):
    tried = []
    monkeypatch.setattr(module, "_tried", lambda b, plans, stage: (tried.append(stage.label), (30.0, "ten"))[1])
    plans = benchmark.plan()
    stages = {stage.label: stage for plan in plans for stage in plan.stages}
    end(benchmark, stages["vae s0"], seconds=8.0)
    end(benchmark, stages["vae-reconstruct s0"], wall_seconds=2.0)
    end(benchmark, stages["vae-evaluate s0"], wall_seconds=3.0, machine={"device": "another", "cores": 1, "threads": 1})
    folder = benchmark.store.folder(stages["vae s1"].name)
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"")
    images = stages["vae s1"].job["images"]
    (folder / "metrics.jsonl").write_text(json.dumps({"images_seen": images // 4, "loss": 1.0}) + "\n")
    found = outlook(benchmark)
    by = {
        stage["label"]: (stage["state"], stage["share"], stage["seconds"], stage["source"]) for stage in found["stages"]
    }
    assert by["vae s0"] == ("done", 1.0, 0.0, "")
    assert by["vae s1"] == ("stopped", 0.25, 6.0, "1 earlier here")
    assert by["vae-reconstruct s1"] == ("new", 0.0, 2.0, "1 earlier here")
    assert by["vae-evaluate s1"] == ("new", 0.0, 30.0, "ten")
    assert by["normal s0"] == by["normal s1"] == ("new", 0.0, 30.0, "ten")
    assert sorted(tried) == ["data-evaluate s0", "normal s0", "vae-evaluate s1"]  # those alike once
    assert found["seconds"] == pytest.approx(sum(seconds for _, _, seconds, _ in by.values()))
    text = to_text(forecast_grid(found))
    assert "stopped at 25%" in text
    assert "6 of 9 stages are left: about 2:08 on 1 workers (cpu)" in text
    longer = Benchmark(replace(benchmark.request, budget="ci", seeds=[0]))
    (ci,) = (one for one in module.forecast(longer, longer.plan()) if one.stage.label == "vae s0")
    if longer.budget.width == benchmark.budget.width:
        assert ci.seconds == pytest.approx(8.0 * longer.budget.images / benchmark.budget.images)


def test_ten_steps_are_measured_of_what_trains_by_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "be_deterministic", dict)
    monkeypatch.setattr(machine, "limit_threads", lambda count: None)
    asked = Request("digits", ["vae2s", "ae_ot_gan", "pca"], [0], "smoke", tmp_path / "data", tmp_path / "runs", gpus=0)
    benchmark, found = Benchmark(asked), {}
    for method in benchmark.methods:
        stages = benchmark.planner.training(method, 0).stages
        for number, stage in enumerate(stages, 1):
            order = benchmark.order(stage, ("cpu",))
            try:
                found[stage.part] = module._steps(order, [one.job for one in stages[:number]])
            except InputError as why:
                found[stage.part] = str(why)
    for name in ("vae", "vae2", "ae", "sdot"):
        assert found[name][0] > 0
        assert found[name][1] == "10 measured steps"
    assert found["ae_ot_gan"] == "what it refines is not trained yet"
    assert found["pca"] == (None, "in closed form, no earlier one here")
    assert not benchmark.store.stages.exists()
