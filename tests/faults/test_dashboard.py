"""A dashboard that is away, refuses, hangs or knows no key costs one line: never a record, a table or the exit code."""

import json
import sys
from types import SimpleNamespace

import pytest

from latent_ot import cli
from latent_ot.bench import benchmark
from latent_ot.bench.request import Request
from latent_ot.bench.teller import Ledger
from latent_ot.bench.trackers import base
from latent_ot.bench.tracking import Tracking
from latent_ot.results import add

FAKE = """
import json, os, sys, time

MOOD, SAID = (os.path.join(os.path.dirname(__file__), name) for name in ("mood", "said"))


class Settings:
    def __init__(self, **given): ...


class Run:
    starting_step = 0

    def __init__(self, name):
        self.name, self.summary = name, {}

    def define_metric(self, *a, **k): ...
    def log(self, values, step=None): ...

    def finish(self, exit_code):
        with open(SAID, "a") as file:
            print(self.name, self.summary.get("fid", "-"), file=file)


def Image(path):
    return path


def Table(**given):
    return given


def init(name, **given):
    print("chatter")
    mood = open(MOOD).read()
    if mood == "hangs":
        time.sleep(600)
    if mood == "exits":
        sys.exit(7)
    if mood == "dies":
        os._exit(7)
    if mood == "away" or (mood == "picky" and "glo" in name):
        raise ConnectionError("nobody at\\nthe door")
    return Run(name)
"""


@pytest.fixture
def dashboard(tmp_path, monkeypatch):
    """A store, and in place of wandb a module in a mood."""
    folder = tmp_path / "fake" / "wandb"
    (folder / "sdk").mkdir(parents=True)
    (folder / "__init__.py").write_text(FAKE)
    (folder / "sdk" / "lib.py").write_text("RunDisabled = type(None)")  # which Lightning's logger looks for
    (folder / "wandb_run.py").write_text("from wandb import Run")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "invented")
    monkeypatch.delenv("WANDB_MODE", raising=False)

    def mood(word):
        (folder / "mood").write_text(word)

    def said():
        return (folder / "said").read_text().splitlines() if (folder / "said").exists() else []

    mood("well")
    return SimpleNamespace(store=tmp_path / "runs", mood=mood, said=said)


def tell(store, raw, *methods, fid=7.0):
    """Let the dashboard be told of records, as a command does at its end."""
    paths = add(store, [raw(method, 0, {"fid": fid}) for method in methods])
    with Tracking(["wandb"], store) as tracking:
        tracking.owe([path.stem for path in paths])


def test_a_hanging_dashboard_is_waited_for_so_long_and_no_longer(dashboard, raw, monkeypatch, capfd):
    monkeypatch.setattr(base, "PATIENCE", 2.0)
    dashboard.mood("hangs")
    tell(dashboard.store, raw, "glo", "gldo")
    assert capfd.readouterr() == (
        "", "W&B was not told of 2 of 2 runs (no answer within 2 s); they wait in the store for the next command with "
        "--track wandb\n",
    )  # fmt: skip
    assert dashboard.said() == []


@pytest.mark.parametrize(
    ("mood", "why", "told"),
    [
        ("picky", "ConnectionError: nobody at the door", ["gldo-0-ci-mnist 7.0"]),
        pytest.param("away", "ConnectionError: nobody at the door", [], marks=pytest.mark.slow),
        pytest.param("exits", "SystemExit: 7", [], marks=pytest.mark.slow),
        pytest.param("dies", "its process ended", [], marks=pytest.mark.slow),
    ],
)
def test_what_it_would_not_hear_waits_and_what_it_heard_is_not_told_again(mood, why, told, dashboard, raw, capfd):
    dashboard.mood(mood)
    tell(dashboard.store, raw, "glo", "gldo")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"W&B was not told of {2 - len(told)} of 2 runs ({why}); they wait in the store")
    assert err.count("\n") == 1
    assert dashboard.said() == told
    dashboard.mood("well")
    tell(dashboard.store, raw, "gldo")  # the same record again is no news
    assert capfd.readouterr() == ("", "")
    assert sorted(dashboard.said()) == ["gldo-0-ci-mnist 7.0", "glo-0-ci-mnist 7.0"]
    tell(dashboard.store, raw, "glo")
    assert len(dashboard.said()) == 2


@pytest.mark.slow
def test_a_run_that_was_made_again_is_told_again_and_one_that_is_gone_is_forgotten(dashboard, raw, capfd):
    dashboard.mood("away")
    tell(dashboard.store, raw, "glo", "gldo")
    next((dashboard.store / "results").glob("*--glo--*.json")).unlink()
    dashboard.mood("well")
    tell(dashboard.store, raw, "gldo", fid=8.0)
    tell(dashboard.store, raw, "gldo", fid=9.0)
    assert dashboard.said() == ["gldo-0-ci-mnist 8.0", "gldo-0-ci-mnist 9.0"]
    assert len(json.loads((dashboard.store / "tracking" / "wandb.json").read_text())) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "W&B offline: no API key found"),
        ({"WANDB_MODE": "online"}, "W&B online: WANDB_MODE=online, but no API key found"),
        ({"WANDB_MODE": "disabled"}, "W&B disabled: WANDB_MODE=disabled"),
        ({"WANDB_API_KEY": "invented"}, ""),
    ],
)
def test_a_missing_key_is_one_line_before_the_first_stage(given, said, dashboard, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    Tracking(["wandb"], tmp_path)
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == (said != "")


def test_a_ledger_that_cannot_be_read_is_begun_anew(tmp_path):
    ledger = Ledger(tmp_path, "csv")
    for text in ("", "[1]", "{", "\xff", '{"a": 1}'):
        ledger.path.parent.mkdir(parents=True, exist_ok=True)
        ledger.path.write_bytes(text.encode("latin-1"))
        ledger.note("b", end="done")
        assert json.loads(ledger.path.read_text()) == {"b": {"images": -1, "pictures": [], "end": "done"}}


def test_the_dashboard_is_told_after_the_table_and_not_when_the_user_stops(monkeypatch, record, tmp_path):
    order, stopped = [], [False]

    class Dashboards(Tracking):
        def send(self, *message):
            order.append((message[0], bool(message[2])))

        def _start(self):
            pass

    monkeypatch.setattr(benchmark.Benchmark, "__init__", lambda self, asked, tracking: None)
    monkeypatch.setattr(benchmark.Benchmark, "execute", lambda self: (order.append("run"), ([record()], stopped[0]))[1])
    monkeypatch.setattr(cli, "write_store_pages", lambda store: order.append("pages"))
    asked = Request("digits", store=tmp_path, track=["csv"])
    cli.finish(asked, lambda records: order.append("table"), Dashboards(["csv"], tmp_path))
    assert order == ["run", "pages", "table", ("finish", True)]
    stopped[0] = True
    with pytest.raises(KeyboardInterrupt):
        cli.finish(asked, lambda records: order.append("table"), Dashboards(["csv"], tmp_path))
    assert order[4:] == ["run", "pages", "table", ("finish", False)]


@pytest.mark.slow
@pytest.mark.parametrize("mood", ["away", "dies"])
def test_a_bench_ends_as_without_its_dashboard(mood, dashboard, bench):
    dashboard.mood(mood)
    words = bench.small("pca", more=["--track", "wandb"])
    ended = bench.run(*words)
    assert (ended.code, dashboard.said()) == (0, [])
    assert "1  pca" in ended.out
    assert len([line for line in ended.err.splitlines() if "W&B" in line]) == 1
    dashboard.mood("well")
    assert bench.run(*words).code == 0
    assert sorted(line.rpartition(" ")[0] for line in dashboard.said()) == [
        "data-0-smoke-digits",
        "digits-smoke-table",
        "pca+gaussian-0-smoke",
        "pca-0-smoke",
        "pca-0-smoke-digits",
    ]
