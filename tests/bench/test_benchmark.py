"""A benchmark ends with a row for every method, whatever became of it, and never does finished work again."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latent_ot import leaderboard
from latent_ot.bench import follow
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.currency import outdated, stored
from latent_ot.bench.identity import key_of
from latent_ot.bench.load import load_model
from latent_ot.bench.pictures import folders
from latent_ot.bench.request import Request
from latent_ot.bench.sampling import draw
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.store import config_of
from latent_ot.errors import RunFailed
from latent_ot.results import load

BROKEN = """
import os
import torch
from latent_ot.config import Config
from latent_ot.methods.base import Method


class Broken(Method):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def training_step(self, batch, batch_idx):
        {fault}
"""
FAULTS = {
    "raises": "raise RuntimeError('no such luck')",
    "diverges": "self.observe(loss=torch.tensor(float('nan')))",
    "dies": "os._exit(9)",
}


@pytest.fixture(scope="module")
def request_here(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("bench")
    plugins = []
    for name, fault in FAULTS.items():
        plugins.append(folder / f"{name}.py")
        plugins[-1].write_text(BROKEN.format(fault=fault))
    return Request(
        "digits", ["pca", *FAULTS, "ae+gaussian"], [0], "smoke", folder / "data", folder / "runs",
        plugins=plugins,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ended(request_here):
    rows, stopped = Benchmark(request_here).execute()
    assert not stopped
    return {row["method"]: row for row in rows}


def test_a_broken_method_is_a_row_that_says_so(ended):
    found = {name: (row["status"], row["reason"]) for name, row in ended.items()}
    assert found["data"] == found["pca"] == found["ae+gaussian"] == ("done", None)
    assert found["raises"] == ("failed", "RuntimeError: no such luck")
    assert found["diverges"][0] == "diverged"
    assert "loss = nan at step 1 " in found["diverges"][1]
    assert ended["diverges"]["machine"] == ended["pca"]["machine"]
    assert found["dies"][0] == "failed"
    assert "killed" in found["dies"][1]


def test_a_pair_is_followed_under_a_gaussian_once_and_its_record_counts_the_decoders_updates(
    ended, request_here, monkeypatch
):
    run = ended["ae+gaussian"]
    followed = run["curves"]["fid_gaussian"]
    assert [x for x, _ in followed] == [64, 128, 192, 384, 768, 1600, 3200]
    assert followed[-1][1] == pytest.approx(run["metrics"]["fid"])  # its own sampler is that Gaussian
    assert run["generator_updates"] == run["updates"]["autoencoder"] == 50
    assert ended["pca"]["generator_updates"] is None
    assert ended["pca"]["curves"]["fid_gaussian"] == []
    here = Benchmark(request_here)
    trained, sampled = (here.store.stages / stage.name for stage in here.planner.training("ae+gaussian", 0).stages[:2])
    folders, device = {"train": trained, "sampler": sampled}, torch.device("cpu")
    model = load_model(here.catalog, folders, device)
    scorer = Scorer(here.dataset, here.protocols[0].model_dump(), None, here.store.cache, torch.device("cpu"))
    of = follow.Subject(model, folders, 0, scorer, here.catalog, device)
    assert run["curves"]["fid"] == [*followed[:-1], [3200, run["metrics"]["fid"]]]
    computed = [value for _, value in follow._under(of, model.latent)]
    assert computed == pytest.approx([value for _, value in followed[:-1]], rel=1e-9)  # the shorter way is the same
    monkeypatch.setattr(follow, "_gaussian_on", None)  # what is kept is read
    assert [list(point) for point in follow._under_gaussian(of)] == followed


def test_records_are_what_reports_read(ended, request_here):
    loaded = load(request_here.store)
    assert {r.method for r in loaded} == set(ended)
    (path,) = (request_here.store / "results").glob("digits--pca--smoke--s0--*.json")
    text = path.read_text()
    assert str(Path.home()) not in text
    assert str(request_here.store) not in text
    row = json.loads(text)
    assert {"fid", "is", "kid", "prd_f8", "prd_f1_8", "psnr", "ssim", "sharpness", "class_tv"} <= set(row["metrics"])
    assert row["command"] == "latent-ot bench --dataset digits --methods pca --seeds 0 --budget smoke " + " ".join(
        f"--plugin {name}.py" for name in FAULTS
    )
    assert path.with_suffix(".samples.png").exists()
    marked = stored(request_here.store)
    assert [record.outdated for record in marked] == [()] * len(ended)
    leaderboard.write(request_here.store, marked)
    assert leaderboard.stale(request_here.store, marked) == []


def test_records_say_how_samples_and_yardsticks_lie_beside_the_training_images(ended, request_here):
    copies = {"copied", "near_training", "copy_test", "fld_gap", "fid_test"}
    assert copies <= ended["pca"]["metrics"].keys()
    assert {"copied", "near_training"} == copies & ended["data"]["metrics"].keys()
    assert "needs other held-out images" in ended["data"]["reasons"]["fld_gap"]
    assert ended["data"]["yardsticks"]["training"]["metrics"]["copied"] == 1
    assert {"fid", "is", "kid", "recall"} <= ended["data"]["yardsticks"]["training"]["metrics"].keys()
    for name in ("pca", "ae+gaussian"):
        assert copies | {"fid"} == ended[name]["yardsticks"]["rebuilt"]["metrics"].keys()
    held_out = ended["data"]["metrics"]["copied"]
    assert ended["pca"]["metrics"]["copied"] < held_out < ended["pca"]["yardsticks"]["rebuilt"]["metrics"]["copied"]
    (record,) = (r for r in load(request_here.store) if r.method == "pca")
    assert {"fid", "is", "kid", "prd_f8", "recall", "psnr", "ssim", "copied"} <= record.intervals.keys()
    assert all(low <= record.metrics[key] <= high for key, (low, high) in record.intervals.items())
    assert [*(request_here.store / "results").glob("digits--pca--*.copies.png")]


def test_a_record_from_before_a_metric_stays_as_good_as_it_was(ended, request_here):
    new = {"Authenticity", "CopyTest", "FidHeldOut", "FidInf", "LikelihoodGap"}
    (record,) = (r for r in stored(request_here.store) if r.method == "pca")
    last = record.stages[-1]
    job = config_of(next((request_here.store / "stages").glob(f"*-{last.key}")))["job"]
    made_of = {**last.made_of, "metrics": {k: v for k, v in last.made_of["metrics"].items() if k not in new}}
    before = last.model_copy(update={"key": key_of({**job, "made_of": made_of}), "made_of": made_of})
    assert before.key != last.key
    assert outdated(record.model_copy(update={"stages": [*record.stages[:-1], before]})) == outdated(record) == ()


def test_training_or_drawing_from_what_diverged_or_failed_says_so(ended, request_here):
    here = Benchmark(request_here)
    for use in (here.train_only, functools.partial(folders, here)):
        with pytest.raises(RunFailed, match=r"diverge.*: loss = nan at step 1"):
            use("diverges", 0)
    with pytest.raises(RunFailed, match=r"raises.*: failed: RuntimeError: no such luck; see .*log\.txt"):
        here.train_only("raises", 0)


def test_finished_work_is_reused(ended, request_here):
    before = {p: p.stat().st_mtime_ns for p in request_here.store.rglob("model.safetensors")}
    rows, _ = Benchmark(request_here).execute()
    assert {p: p.stat().st_mtime_ns for p in request_here.store.rglob("model.safetensors")} == before
    again = {row["method"]: row for row in rows}
    assert again["pca"] == ended["pca"]
    assert again["diverges"]["status"] == "diverged"


def test_first_samples_do_not_depend_on_how_many_are_drawn(ended, request_here):
    from latent_ot.bench.pictures import finished

    model = finished(Benchmark(request_here), "ae+gaussian", 0)
    assert torch.equal(draw(model, 40, seed=0), draw(model, 700, seed=0)[:40])


@pytest.mark.slow
def test_two_commands_at_once_share_a_store(request_here, tmp_path):
    words = ["bench", "--dataset", "digits", "--budget", "smoke", "--methods", "pca,glo", "--store", "runs"]
    command = [sys.executable, "-m", "latent_ot.cli", *words, "--data-dir", str(request_here.data_dir)]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in ("one", "two")
    ]
    tables = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert tables[0] == tables[1]
