"""What a dashboard is told while a stage trains, once, in order, whatever ends in between; and by which logger."""

import importlib.util
import json
import os
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dashboards import events, rows, wandb_runs
from PIL import Image

from latent_ot.bench import teller as teller_module
from latent_ot.bench.grids import Grids
from latent_ot.bench.identity import key_of
from latent_ot.bench.store import CONFIG, Store, finish
from latent_ot.bench.teller import Mail, Report, Teller, points, scored
from latent_ot.bench.trackers.base import Card, Handed, Tracker, names, tracker
from latent_ot.bench.trackers.wandb import HOST, state
from latent_ot.bench.tracking import Beside, Tracking
from latent_ot.errors import InputError
from latent_ot.files import locked, write_json
from latent_ot.record import checked
from latent_ot.results import add

needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is an optional extra")
    for name in ("wandb", "tensorboard")
}
LIVE = {"status": "training", "images_per_second": 500.0, "memory_mb": 321}
TABLE = Handed(
    "table", [{"method": "vae", "fid": 7.0, "rank": None}, {"method": "glo", "fid": 9.0, "rank": 2}], "| x |"
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A machine without an account."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [n for n in os.environ if n.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)


class Stage:
    """A stage's folder as its worker fills it."""

    def __init__(self, root, images=640):
        job = {"role": "train", "name": "vae", "inputs": {}, "made_of": {}, "images": images}
        self.key, self.store = key_of(job), Store(root)
        self.name = f"digits-vae-ci-s0-{self.key}"
        self.folder = self.store.folder(self.name)
        (self.folder / "snapshots").mkdir(parents=True)
        write_json(self.folder / CONFIG, {"job": job})
        self.card = Card(self.key, "vae-0-ci", "digits-ci", "train", ("digits", "ci"), {"seed": 0, "config": {"lr": 1}})

    def steps(self, *images):
        with (self.folder / "metrics.jsonl").open("a") as file:
            for at in images:
                file.write(json.dumps({"images_seen": at, "rec": 1 / at}) + "\n")

    def snapshot(self, images):
        (self.folder / "snapshots" / f"{images:012d}.safetensors").write_bytes(b"weights")

    def end(self, status="done", **told):
        finish(self.folder, {"status": status, **told})


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path / "runs")


class Pictures:
    """Grids of one grey tile, drawn of any weights."""

    def __init__(self, folder):
        self.folder = folder

    def draw(self, stage, images, weights):
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{images}.png"
        Image.fromarray(np.full((4, 4), 128, np.uint8)).save(path)
        return path


@pytest.fixture
def told(stage, tmp_path):
    """Make a process's side of a dashboard, whose runs note all that they hear in ``heard``; ``said``: its answers."""
    heard, said, trouble = [], [], []

    class Listening(Tracker):
        def __init__(self, card):
            if trouble:
                raise trouble[0]
            self.card = card
            heard.append(("open", card.name))

        def log(self, images, values, picture=None):
            heard.append((images, dict(values), None if picture is None else picture.name))

        def figures(self, values):
            heard.append(("figures", dict(values)))

        def table(self, table):
            heard.append(("table", table.name))

        def flush(self):
            pass

        def close(self, failed=False):
            heard.append(("close", failed))

    def new(name="listening", cards=None):
        one = Teller(stage.store, name, Listening, lambda key, why: said.append((key, why)))
        one.begin({stage.name: stage.card} if cards is None else cards, Pictures(tmp_path / "pictures"))
        return one

    return SimpleNamespace(new=new, heard=heard, said=said, trouble=trouble, listening=Listening)


def curve(heard):
    return [event[0] for event in heard if isinstance(event[0], int) and event[1]]


def grids(heard):
    return [event[0] for event in heard if isinstance(event[0], int) and event[2]]


def test_points_come_in_order_and_a_line_that_is_being_written_waits(stage):
    stage.steps(64, 128)
    stage.snapshot(64)
    with (stage.folder / "metrics.jsonl").open("a") as file:
        file.write('{"images_seen": 192, "re')
    found = points(stage.folder, None)
    assert [(p.images, p.values, p.weights and p.weights.name) for p in found] == [
        (64, {"loss/rec": 1 / 64}, f"{64:012d}.safetensors"),
        (128, {"loss/rec": 1 / 128}, None),
    ]
    assert points(stage.folder, {"status": "done", "images_seen": 256})[-1].weights.name == "model.safetensors"
    assert points(stage.folder.with_name("none"), None) == []


def test_a_stage_is_told_while_it_trains_each_point_once_with_how_fast_it_is(stage, told):
    one = told.new()
    one.stage(stage.name, LIVE)
    assert told.heard == []  # it has not begun
    stage.steps(64, 128)
    one.stage(stage.name, LIVE)
    stage.snapshot(128)
    stage.steps(192)
    one.stage(stage.name, LIVE)
    one.stage(stage.name, LIVE)
    speed = {"images_per_second": 500.0, "memory_mb": 321}
    assert told.heard == [
        ("open", "vae-0-ci"),
        ("figures", {"status": "training"}),
        (64, {"loss/rec": 1 / 64}, None),
        (128, {"loss/rec": 1 / 128, **speed}, None),
        (128, {}, "128.png"),
        (192, {"loss/rec": 1 / 192, **speed}, None),
    ]
    stage.steps(256)
    stage.end(images_seen=256, seconds=1.5, parameters=7, peak_memory_mb=99)
    one.stage(stage.name, {"status": "done", "reason": None})
    costs = {"images_seen": 256, "seconds": 1.5, "parameters": 7, "peak_memory_mb": 99}
    assert told.heard[6:] == [
        (256, {"loss/rec": 1 / 256}, "256.png"),
        ("figures", {"status": "done", **costs}),
        ("close", False),
    ]
    assert (stage.name, None) in told.said


def test_a_rerun_tells_nothing_again_and_a_resumed_stage_goes_on(stage, told):
    first = told.new()
    stage.steps(64, 128)
    stage.snapshot(64)
    first.stage(stage.name, LIVE)
    first.stage(stage.name, {"status": "stopped"})
    assert told.heard[-2:] == [("figures", {"status": "stopped"}), ("close", False)]
    told.heard.clear()
    second = told.new()
    second.stage(stage.name, LIVE)
    assert told.heard == []  # nothing is new yet
    stage.steps(128, 192)  # a step after the checkpoint comes again
    stage.end(images_seen=192)
    second.stage(stage.name, {"status": "done"})
    assert (curve(told.heard), grids(told.heard)) == ([192], [192])
    told.heard.clear()
    for status in ("reused", "done"):
        told.new().stage(stage.name, {"status": status})
    assert told.heard == []


def test_what_was_trained_without_a_dashboard_is_told_whole(stage, told):
    stage.steps(64, 128)
    stage.snapshot(64)
    stage.end(images_seen=128)
    told.new().stage(stage.name, {"status": "reused", "reason": None})
    assert (curve(told.heard), grids(told.heard)) == ([64, 128], [64, 128])


def test_a_run_that_diverged_keeps_its_curve_and_says_so(stage, told):
    one = told.new()
    stage.steps(64)
    one.stage(stage.name, LIVE)
    stage.steps(128)
    stage.end("diverged", reason="rec = nan at step 3")
    one.stage(stage.name, {"status": "diverged", "reason": "rec = nan at step 3"})
    assert curve(told.heard) == [64, 128]
    assert told.heard[-2:] == [("figures", {"status": "diverged", "reason": "rec = nan at step 3"}), ("close", True)]


def test_a_worker_that_was_killed_is_said_and_its_next_training_goes_on(stage, told):
    one = told.new()
    stage.steps(64)
    one.stage(stage.name, {"status": "failed", "reason": "the worker was killed"})
    assert told.heard[-2:] == [("figures", {"status": "failed", "reason": "the worker was killed"}), ("close", True)]
    stage.steps(128)
    one.stage(stage.name, LIVE)
    assert curve(told.heard) == [64, 128]


def test_a_dashboard_that_does_not_hear_is_said_and_hears_later(stage, told, monkeypatch):
    one = told.new()
    told.trouble.append(ConnectionError("nobody at\nthe door"))
    stage.steps(64)
    one.stage(stage.name, LIVE)
    assert told.said == [(stage.name, "ConnectionError: nobody at the door")]
    told.trouble.clear()
    one.stage(stage.name, LIVE)
    assert told.heard == []  # not before some time has passed
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 0.0)
    one.stage(stage.name, LIVE)
    assert curve(told.heard) == [64]


def test_what_a_dashboard_may_forget_is_noted_only_when_its_run_is_closed(stage, told, monkeypatch):
    monkeypatch.setattr(told.listening, "keeps", False)
    one = told.new()
    stage.steps(64)
    one.stage(stage.name, LIVE)
    one.stage(stage.name, LIVE)
    assert curve(told.heard) == [64]
    told.new("listening").stage(stage.name, LIVE)  # its process was killed, and the lock is not: nothing is told
    assert curve(told.heard) == [64]
    one._close(stage.name)
    monkeypatch.setattr(told.listening, "reached", 64.0)  # which the dashboard knows
    stage.steps(128)
    told.new().stage(stage.name, LIVE)
    assert curve(told.heard) == [64, 128]


def test_two_commands_do_not_tell_of_one_stage_at_once(stage, told):
    stage.steps(64)
    with ExitStack() as other:
        lock = stage.store.root / "tracking" / "locks" / f"listening-{stage.key}.lock"
        other.enter_context(locked(lock))
        told.new().stage(stage.name, LIVE)
        assert told.heard == []
    told.new().stage(stage.name, LIVE)
    assert curve(told.heard) == [64]


def test_the_next_command_tells_what_an_earlier_one_did_not(stage, told):
    told.new()
    stage.steps(64)
    stage.end(images_seen=64)
    told.new(cards={}).finish((), None)
    assert curve(told.heard) == [64]
    told.heard.clear()
    told.new(cards={}).finish((), None)
    assert told.heard == []


def test_records_are_told_once_with_intervals_and_whether_they_repeat_training_images(stage, told, record):
    def made(method, share, **changes):
        ends = {"copied": [share - 0.1, share + 0.1]}
        return checked(record(method, 0, {"fid": 1.0, "copied": share}, intervals=ends, **changes))

    runs = [made("data", 0.4), made("glo", 0.9), made("vae", 0.1), made("gldo", 0.9, budget="short"), record("old")]
    live = told.new(cards={})
    live.record(runs[1])  # before the data row is known
    add(stage.store.root, runs)
    live.finish([run.stem for run in runs], None)
    figures = {}
    for event in told.heard:
        if event[0] == "open":
            name = event[1].partition("-")[0]
        elif event[0] == "figures":
            figures[name] = event[1]
    flags = {name: found["repeats_training_images"] for name, found in figures.items()}
    assert flags == {"data": False, "glo": True, "vae": False, "gldo": True, "old": "not measured"}
    glo = figures["glo"]
    assert (glo["copied_low"], glo["copied_high"]) == pytest.approx((0.8, 1.0))
    assert {"status": "done", "seconds": 12.5, "peak_memory_mb": 800.0, "fid": 1.0}.items() <= glo.items()
    told.heard.clear()
    told.new(cards={}).finish([run.stem for run in runs], None)
    assert told.heard == []


def test_what_a_run_came_to_is_no_part_of_its_configuration(record):
    card = scored(record("gldo", 3, paper="gldo"))
    assert (card.id, card.name, card.group, card.job_type) == (
        "3".zfill(16),
        "gldo-3-ci-mnist",
        "mnist5k-ci",
        "evaluate",
    )
    assert card.tags == ("mnist5k", "ci", "gldo")
    assert not card.config.keys() & {"status", "reason", "seconds", "peak_memory_mb", "metrics", "command", "machine"}
    assert {"method": "gldo", "seed": 3, "budget": "ci"}.items() <= card.config.items()


def test_a_table_is_told_when_it_is_another(stage, told):
    card = Card("0" * 16, "digits-ci-table", "digits-ci", "report")
    for table in (TABLE, TABLE, Handed("table", [{"method": "vae"}], "")):
        told.new(cards={}).finish((), Report(card, [table]))
    assert [event for event in told.heard if event[0] == "table"] == [("table", "table")] * 2


def test_of_what_a_stage_says_only_the_last_is_taken_up(monkeypatch):
    class Pipe:
        sent = [("begin",), ("stage", "a", 1), ("stage", "b", 1), ("stage", "a", 2), ("finish",)]

        def recv(self):
            if not self.sent:
                raise EOFError
            return self.sent.pop(0)

    mail = Mail.__new__(Mail)
    mail.pipe, mail.messages = Pipe(), teller_module.queue.SimpleQueue()
    monkeypatch.setattr(teller_module.time, "sleep", lambda seconds: next(iter(())))
    with pytest.raises(StopIteration):  # in place of a wait, after which the process ends
        mail._read()
    told = iter(mail)
    assert [next(told) for _ in range(5)] == [("begin",), ("stage", "b", 1), ("stage", "a", 2), ("finish",), None]


def test_trackers_are_found_and_a_missing_one_is_one_line(monkeypatch, tmp_path):
    assert names() == ["csv", "tensorboard", "wandb"]
    with pytest.raises(
        InputError, match="tracker 'wandp' is unknown; allowed: csv, tensorboard, wandb; nearest: wandb"
    ):
        Tracking(["csv", "wandp"], tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(InputError, match=rf"{name} is not installed: pip install latent_ot\[{name}\]"):
            Tracking(["csv", name], tmp_path)
    assert state()[0] == "missing"
    assert [*Tracking(["csv", "csv"], tmp_path).kinds] == ["csv"]


@needs["wandb"]
def test_the_mode_is_offline_without_a_key_online_with_one_and_otherwise_as_asked(monkeypatch, tmp_path):
    assert state()[0] == "offline"
    (tmp_path / "home").mkdir()
    logins = tmp_path / "home" / ".netrc"
    logins.write_text(f"machine {HOST} login user password invented\n")
    logins.chmod(0o600)
    assert state()[0] == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert state()[0] == "disabled"
    assert Tracking(["wandb", "csv"], tmp_path).kinds.keys() == {"csv"}


def tell_in_two_parts(name, stage, told, tmp_path, **where):
    """Let a real logger be told of a stage that is stopped and goes on, and of a table."""
    folder = stage.store.root / "tracking"

    def new():
        one = Teller(
            stage.store, name, lambda card: tracker(name)(folder, card, where), lambda key, why: told.append(why)
        )
        one.begin({stage.name: stage.card}, Pictures(tmp_path / "pictures"))
        return one

    first = new()
    stage.steps(64)
    stage.snapshot(64)
    first.stage(stage.name, LIVE)
    stage.steps(128)
    first.stage(stage.name, LIVE)
    first.stage(stage.name, {"status": "stopped"})
    second = new()
    stage.steps(192)
    stage.end(images_seen=192, seconds=2.5)
    second.stage(stage.name, {"status": "done"})
    second.finish((), Report(Card("1" * 16, "digits-ci-table", "digits-ci", "report"), [TABLE]))
    assert {*told} == {None, ""} - {""}
    return folder


def test_csv_has_all_points_of_both_parts_once_and_the_rest_beside(stage, tmp_path):
    folder = tell_in_two_parts("csv", stage, [], tmp_path) / "csv" / "digits-ci"
    run = folder / f"vae-0-ci-{stage.key[:8]}"
    found = rows(run / "metrics.csv")
    assert [(row["step"], float(row["loss/rec"])) for row in found] == [(str(n), 1 / n) for n in (64, 128, 192)]
    assert [(row["images_per_second"], row["memory_mb"]) for row in found[:2]] == [("500.0", "321")] * 2
    assert sorted(path.name for path in (run / "samples").iterdir()) == [f"{n:012d}.png" for n in (64, 192)]
    told = json.loads((run / "summary.json").read_text())
    assert told == {"status": "done", "images_seen": 192, "seconds": 2.5}
    assert "lr: 1" in (run / "hparams.yaml").read_text()
    assert rows(folder / "digits-ci-table-11111111" / "table.csv")[1] == {"method": "glo", "fid": "9.0", "rank": "2"}


@needs["tensorboard"]
def test_tensorboard_has_curves_grids_figures_and_the_table(stage, tmp_path):
    folder = tell_in_two_parts("tensorboard", stage, [], tmp_path) / "tensorboard" / "digits-ci"
    found = events(folder / f"vae-0-ci-{stage.key[:8]}")
    assert found.scalars["loss/rec"] == [(n, pytest.approx(1 / n)) for n in (64, 128, 192)]
    assert found.scalars["images_per_second"] == [(64, 500.0), (128, 500.0)]
    assert found.scalars["final/seconds"] == [(192, 2.5)]
    assert found.images == {"samples": [64, 192]}
    assert found.texts["status/text_summary"] == ["training", "stopped", "training", "done"]
    assert events(folder / "digits-ci-table-11111111").texts == {"table/text_summary": ["| x |"]}


@pytest.mark.slow
@needs["wandb"]
def test_an_offline_run_of_wandb_has_all_of_it_under_one_id(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "another")  # an option comes first
    monkeypatch.setenv("WANDB_ENTITY", "team")
    tell_in_two_parts("wandb", stage, [], tmp_path, project="mine", entity=None)
    runs = wandb_runs(stage.store.root)
    first, second = runs.pop(stage.key)
    for part in (first, second):
        card = {"display_name": "vae-0-ci", "run_group": "digits-ci", "job_type": "train", "project": "mine"}
        assert (card | {"entity": "team"}).items() <= part.card.items()
        assert part.card["tags"] == ["digits", "ci"]
        assert part.card["config"]["update"]["config"] == {"lr": 1}
        assert part.ended
    assert [(s["_step"], s["images_seen"], s["loss/rec"]) for s in first.steps] == [(n, n, 1 / n) for n in (64, 128)]
    assert [s["images_per_second"] for s in first.steps] == [500, 500]
    assert [s["loss/rec"] for s in second.steps] == [1 / 192]
    assert [s["samples._type"] for s in (first.steps[0], second.steps[0])] == ["image-file"] * 2
    assert "samples._type" not in first.steps[1]
    assert (first.summary["status"], second.summary["status"], second.summary["seconds"]) == ("stopped", "done", 2.5)
    (((table,),),) = [runs.values()]
    assert table.card["job_type"] == "report"
    assert (table.steps[0]["table._type"], table.steps[0]["table.nrows"]) == ("table-file", 2)


def test_a_display_passes_on_what_it_is_told(monkeypatch, record):
    shown, sent = [], []
    show = SimpleNamespace(
        **{n: lambda *a, n=n: shown.append(n) for n in ("start", "update", "end", "close")}, say=shown.append
    )
    lines = [["W&B hears nothing"], []]
    tracking = SimpleNamespace(send=lambda *m: sent.append(m), hear=lambda: lines.pop(0))
    beside = Beside(show, tracking, lambda name: [record()] if name == "a-evaluate" else [])
    beside.start("a", "vae s0")
    beside.update("a", {"done": 64, "rate": 500.0, "memory_mb": 321, "loss": 1.0})
    beside.update("a", {"done": 128})  # too soon
    beside.end("a-evaluate", "done", None)
    beside.close()
    assert shown == ["start", "update", "W&B hears nothing", "update", "end", "close"]
    assert sent[:2] == [("stage", "a", LIVE), ("stage", "a-evaluate", {"status": "done", "reason": None})]
    assert sent[2] == ("record", record())


def test_grids_are_drawn_of_any_stage_once(tmp_path, monkeypatch):
    """Of a representation, of a sampler on it and of what is trained end to end, from the same noise each time."""
    from latent_ot.bench import worker
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request
    from latent_ot.budgets import settings

    monkeypatch.setitem(settings()["budgets"]["smoke"], "images", 256)
    asked = Request("digits", budget="smoke", data_dir=tmp_path / "data", store=tmp_path / "runs")
    benchmark, cpu = Benchmark(asked), torch.device("cpu")
    drawn = Grids(tmp_path / "grids", "digits", asked.data_dir, None, ())
    for method in ("glo", "gan"):
        folders = {}
        for stage in benchmark.planner.training(method, 0).stages:
            folder = folders[stage.job["role"]] = benchmark.store.folder(stage.name)
            folder.mkdir(parents=True)
            line = worker.Line(SimpleNamespace(send=lambda message: None))
            worker._train(stage.job, folders, benchmark.dataset, benchmark.catalog, folder, cpu, 1e9, line)
            for weights in [*sorted((folder / "snapshots").glob("*")), folder / "model.safetensors"]:
                path = drawn.draw(folder, int(weights.stem) if weights.stem.isdigit() else 256, weights)
                with Image.open(path) as grid:
                    assert grid.size == (8 * 34 + 2, 8 * 34 + 2)
                made = path.stat().st_mtime_ns
                assert drawn.draw(folder, int(path.stem), weights).stat().st_mtime_ns == made
    other = Grids(tmp_path / "others", "moons", asked.data_dir, None, ())
    with pytest.raises(LookupError, match="is of other data than moons"):
        other.draw(folder, 256, folder / "model.safetensors")
