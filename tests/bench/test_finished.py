"""A benchmark of which nothing is left to do is shown from the store; whatever it rests on may be gone or another."""

import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from latent_ot import cli
from latent_ot.bench import finished
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.results import add, load, remove

PLUGIN = "from latent_ot.methods.pca import Pca\n\n\nclass MyPca(Pca):\n    pass\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("finished")
    request = Request("digits", ["pca"], [0], "smoke", folder / "data", folder / "runs")
    Benchmark(request).execute()
    return request


@pytest.fixture
def here(made, with_a_store_of_its_own) -> Request:
    return with_a_store_of_its_own(made)


def test_the_records_come_from_the_store_and_nothing_runs(here, monkeypatch):
    monkeypatch.setattr(Benchmark, "execute", lambda self: 1 / 0)
    found = finished.recall(here)
    assert found is not None
    assert [record.method for record in found] == ["data", "pca"]
    assert sorted(record.stem for record in found) == sorted(record.stem for record in load(here.store))
    asked = ["bench", "--dataset", "digits", "--budget", "smoke", "--methods", "pca"]
    shown = CliRunner().invoke(cli.app, [*asked, "--store", str(here.store), "--data-dir", str(here.data_dir)])
    assert shown.exit_code == 0
    assert "pca" in shown.stdout


def test_it_needs_no_torch(here):
    told = f"""
import sys
from pathlib import Path
from latent_ot.bench.request import Request
from latent_ot.bench.finished import recall
assert recall(Request("digits", ["pca"], [0], "smoke", Path({str(here.data_dir)!r}), Path({str(here.store)!r})))
print("torch" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize(
    "other",
    [
        {"methods": ["pca", "vae"]},
        {"methods": []},
        {"seeds": [1]},
        {"budget": "ci"},
        {"subset": 500},
        {"threads": 2},
        {"devices_per_run": 2},
        {"overrides": {"pca": {"dim": 7}}},
        {"evaluators": ["mnist"]},
        {"force": ["pca"]},
        {"track": ["csv"]},
        {"gpus": 1},
        {"grid": (["pca"], ["gaussian"])},
        {"dataset": "ring8"},
    ],
)
def test_another_request_is_not_the_finished_one(here, other):
    assert finished.recall(replace(here, **other)) is None


def test_neither_workers_nor_a_second_look_at_the_data_make_it_another(here):
    assert finished.recall(replace(here, workers=3)) is not None
    assert finished.recall(replace(here, verify=True)) is not None


def test_a_stage_that_is_gone_is_made_again(here):
    next((here.store / "stages").glob("*gaussian*/result.json")).unlink()
    assert finished.recall(here) is None


def test_a_record_that_is_gone_or_another_is_made_again(here):
    path = next((here.store / "results").glob("digits--pca--*.json"))
    path.write_text(path.read_text().replace('"fid": ', '"fid": 1'))
    assert finished.recall(here) is None
    remove(here.store, [path.stem])
    assert finished.recall(here) is None


def test_a_record_of_other_stages_is_not_the_one_that_was_made(here):
    (record,) = (r for r in load(here.store) if r.method == "pca")
    others = [stage.model_copy(update={"key": "0" * 16}) for stage in record.stages]
    add(here.store, [record.model_copy(update={"stages": others})])
    assert finished.recall(here) is None


def test_other_code_or_data_are_looked_at_anew(here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(finished, "digest", lambda: "other")
        assert finished.recall(here) is None
    content = finished.load(here.dataset, here.data_dir)
    monkeypatch.setattr(finished, "load", lambda *_: replace(content, content_id="other"))
    assert finished.recall(here) is None


@pytest.mark.slow
def test_a_plugin_is_told_by_its_text(made, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    request = replace(made, methods=["mine"], plugins=[plugin], store=tmp_path / "runs")
    Benchmark(request).execute()
    assert finished.recall(request) is not None
    plugin.write_text(PLUGIN + "# another text\n")
    assert finished.recall(request) is None


def test_what_did_not_end_is_not_remembered(here):
    benchmark = Benchmark(replace(here, seeds=[0, 1]))
    plans = benchmark.plan()
    known = {record.method: record.stem for record in load(here.store)}
    made = [known["data"], known["pca"], known["pca"]]  # of seed 1 nothing was trained
    finished.keep(benchmark.request, benchmark.dataset.content_id, plans, made)
    assert finished.recall(benchmark.request) is None


def test_a_memory_that_is_cut_short_is_no_memory(here):
    path = next((here.store / "cache").glob("finished-*.json"))
    path.write_bytes(path.read_bytes()[:40])
    assert finished.recall(here) is None
