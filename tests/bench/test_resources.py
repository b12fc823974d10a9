"""Stages have as many devices as they take and as there are; what stays idle is said."""

from dataclasses import replace

import pytest

from latent_ot.bench import machine
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.bench.resources import Resources
from latent_ot.errors import InputError


@pytest.fixture
def asked(tmp_path) -> Request:
    return Request("digits", ["ae"], budget="smoke", data_dir=tmp_path / "data", store=tmp_path / "runs", gpus=0)


def resources(request: Request, gpus: int = 0) -> Resources:
    found = Resources(request)
    found.gpus = gpus
    return found


@pytest.mark.parametrize(
    ("gpus", "workers", "each", "slots"),
    [
        (4, None, 1, "0 1 2 3"),
        (4, None, 2, "0 1 2 3"),
        (3, None, 2, "0 1 2"),
        (4, 3, 2, "0 1 2 3 0 1"),
        (0, None, 2, "- - - -"),
        (0, 1, 2, "- -"),
        (0, None, 8, "- - - - - - - -"),
    ],
)
def test_workers_have_as_many_devices_as_their_runs_take(gpus, workers, each, slots, asked, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)
    wanted = ["cpu" if name == "-" else f"cuda:{name}" for name in slots.split()]
    assert resources(replace(asked, workers=workers, devices_per_run=each), gpus).slots(9) == wanted


def test_a_gpu_takes_as_many_runs_as_it_is_told(asked):
    assert resources(replace(asked, runs_per_device=2), 2).slots(1) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_this_process_works_where_a_first_worker_would(asked):
    assert [resources(asked, gpus).device for gpus in (0, 2)] == ["cpu", "cuda:0"]
    assert [resources(asked, gpus).scoring for gpus in (0, 2)] == ["cpu", "cuda"]


def test_more_devices_than_there_are_is_said_before_any_work(asked, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 2)
    asked = replace(asked, devices_per_run=4)
    with pytest.raises(InputError, match="devices_per_run = 4: there are 2 CPU cores; allowed: 1 to 2"):
        Benchmark(asked).execute()
    assert list((asked.store / "stages").iterdir()) == []
    benchmark = Benchmark(asked)
    benchmark.resources.gpus = 3
    with pytest.raises(InputError, match="devices_per_run = 4: there are 3 GPUs; allowed: 1 to 3"):
        benchmark.run(benchmark.plan())


def test_more_gpus_than_there_are_is_one_line(asked):
    with pytest.raises(InputError, match=r"gpus = 99: this machine has \d+; allowed: 0 to \d+$"):
        Resources(replace(asked, gpus=99))


def test_a_command_that_leaves_gpus_idle_says_what_would_use_them(asked, capsys):
    resources(asked, 8).say_idle(8, 3)
    assert capsys.readouterr().err.startswith("5 of 8 GPUs stay idle; --devices-per-run 2 would use 6 (other results")


@pytest.mark.parametrize(
    ("cores", "workers", "threads", "side_by_side", "said"),
    [
        (8, None, 1, 2, "6 of 8 cores stay idle; --threads 4 would use 8 "),
        (8, None, 2, 1, "6 of 8 cores stay idle; --threads 8 would use 8 "),
        (8, 3, 1, 9, "5 of 8 cores stay idle; --threads 2 would use 6 "),
        (8, None, 1, 8, None),
        (8, None, 1, 0, None),
        (2, None, 2, 1, None),
    ],
)
def test_a_command_that_leaves_cores_idle_says_what_would_use_them(
    cores, workers, threads, side_by_side, said, asked, monkeypatch, capsys
):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    here = resources(replace(asked, threads=threads, workers=workers))
    here.say_idle(len(here.slots(side_by_side)), side_by_side)
    err = capsys.readouterr().err
    assert err.startswith(said) if said else not err
