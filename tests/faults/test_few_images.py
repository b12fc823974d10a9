"""Few images: a table without NaN, what cannot be scored says why, and the rest is scored."""

import math
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from latent_ot.bench import benchmark, follow, worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.budgets import budget
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import load
from latent_ot.errors import InputError, TooFew
from latent_ot.metrics.base import metrics
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.score import score, score_images
from latent_ot.record import checked
from latent_ot.report.ranking import bench_table
from latent_ot.report.text import render

TINY = {"images": 192, "codes": 640, "width": 0.1, "reconstruction": {"images": 8, "steps": 4}}
UNSCORED = {1: {"fid", "kid", "is", "prd_f8", "recall"}, 3: {"is", "prd_f8", "recall"}, 7: {"is", "prd_f8"}, 12: set()}
"""Held-out images -> what so few do not allow; below 10 no inception score, below 6 no neighbourhoods."""


def pictures(folder, n, modes=("L",)):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        image = Image.fromarray((rng.random((8, 8)) * 255).astype("uint8")).resize((32, 32))
        image.convert(modes[i % len(modes)]).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Run a bench of methods on so many images, in this process and at a tiny budget; return its records."""
    monkeypatch.setattr(benchmark, "budget", lambda *given: replace(budget(*given), **TINY))
    monkeypatch.setattr(signal, "signal", lambda *given: None)

    def run(n, *methods):
        folder, sent = pictures(tmp_path / "few", n), []
        request = Request(
            f"folder:{folder}", methods, [0], "smoke", tmp_path / "data", tmp_path / "runs", evaluators=["cifar10"]
        )
        made, ends = Benchmark(request), {}
        pipe = type("Pipe", (), {"send": staticmethod(sent.append)})
        for plan in (plans := made.plan()):
            for stage in plan.stages:
                if stage.name not in ends and all(ends[i][0] == "done" for i in stage.inputs):
                    where = (request.store, request.data_dir, request.dataset, None, (), None, ("cpu",))
                    with warnings.catch_warnings():
                        worker.main(worker.Order(stage.name, stage.job, stage.inputs, *where), pipe)
                    ends[stage.name] = (sent[-1]["end"], sent[-1].get("reason"))
        ends = {s.name: ends.get(s.name, ("failed", "an input is missing")) for p in plans for s in p.stages}
        return [checked(made.record(plan, ends)) for plan in plans]

    return run


def assert_scored(records, held_out):
    for run in records:
        assert run.status == "done", f"{run.method}: {run.reason}"
        assert all(map(math.isfinite, run.metrics.values()))
        for key in ("fid", "kid", "is", "prd_f8", "recall"):
            assert (key in run.metrics) != (key in UNSCORED[held_out]), key
            assert (key in run.reasons) == (key in UNSCORED[held_out]), key
    text = render(bench_table(records), "text")
    assert "nan" not in text.lower()
    assert "warning: of fewer than 500 samples every figure scatters" in " ".join(text.split())


@pytest.mark.parametrize(("n", "held_out"), [(2, 1), (37, 3), pytest.param(70, 7, marks=pytest.mark.slow)])
def test_so_few_images_are_trained_on_and_scored_as_far_as_they_go(scored, n, held_out):
    records = scored(n, "pca", "gan")
    assert_scored(records, held_out)
    assert {len(run.metrics) > 3 for run in records} == {True}
    assert "psnr" in records[1].metrics


def test_what_needs_more_images_says_so_before_work_starts(scored):
    records = scored(2, "ae_ot_gan", "ae+sdot", "vae2s")
    assert {run.status for run in records[1:]} == {"declined"}
    assert records[1].reason.startswith("sdot needs 2 training examples or more; folder_few_")
    assert "vae2 needs 2" in records[3].reason


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_are_refused_in_one_line(tmp_path, n):
    with pytest.raises(InputError, match=f"holds {n} readable images, allowed: 2 or more"):
        load(f"folder:{pictures(tmp_path / 'few', n)}", tmp_path / "data")


@pytest.mark.parametrize("modes", [("L",), ("L", "RGB"), ("RGB",), ("L", "LA", "RGBA", "P", "1"), ("I;16", "L")])
def test_grey_images_stay_one_channel_in_whatever_mode_they_are_kept(tmp_path, modes):
    found = load(f"folder:{pictures(tmp_path / 'grey', 10, modes)}", tmp_path / "data")
    assert found.shape == (1, 32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("method", Catalog().methods_for("image"))
@pytest.mark.parametrize(("n", "held_out"), [(2, 1), (37, 3)])
def test_every_method_works_on_few_images_or_says_why_not(scored, method, n, held_out):
    records = scored(n, method)
    if records[1].status == "declined":
        assert n == 2
        assert "training examples or more" in records[1].reason
        records = records[:1]
    assert_scored(records, held_out)


def images(n, size=16):
    return torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def features(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return FeatureSet(torch.randn(n, 6, generator=g), torch.randn(n, 4, generator=g))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 9, 10])
def test_each_figure_of_few_samples_is_there_or_has_a_reason(n):
    reasons = {}
    found, _ = score_images(features(n), features(n, 1), 0, reasons)
    keys = {key for metric in metrics("samples", "pairs") for key in metric.quantities} - {"interp_fid"}
    assert found.keys() | reasons.keys() - {"interp_fid"} == keys
    assert not found.keys() & reasons.keys()
    assert all(map(math.isfinite, found.values()))
    assert all("allowed" in reason for reason in reasons.values())
    missing = {key for key in ("fid", "is", "prd_f8", "recall") if key in reasons}
    assert missing == {k for k, least in (("fid", 2), ("is", 10), ("prd_f8", 10), ("recall", 6)) if n < least}


def test_without_a_place_for_reasons_too_few_samples_are_an_error():
    with pytest.raises(TooFew, match="allowed: 10 or more"):
        score_images(features(9), features(9, 1), 0)


@pytest.mark.parametrize(
    ("measures", "given", "lacking"),
    [
        ("reconstructions", (images(3, 8), images(3, 8)), {"ssim"}),
        ("reconstructions", (images(1), images(1)), set()),
        ("codes", (torch.randn(9, 3), torch.randn(3, 3), torch.randn(20, 3)), {"code_w2", "code_recall"}),
        ("prior", (torch.randn(1, 3), torch.randn(9, 3)), {"code_mean_error"}),
        ("scores", (torch.randn(1), torch.randn(1)), set()),
        ("pictures", (images(1), images(1)), set()),
    ],
)
def test_other_figures_of_few_samples_too(measures, given, lacking):
    reasons = {}
    found = score(measures, *given, reasons=reasons)[0]
    assert all(map(math.isfinite, found.values()))
    assert lacking <= reasons.keys()
    assert found or lacking
    assert not found.keys() & reasons.keys()


@pytest.mark.parametrize("held_out", [1, 2, 499, 501, 1000])
def test_no_adversary_is_shown_a_batch_of_one(held_out, monkeypatch):
    shown = []
    monkeypatch.setattr(follow, "contest", lambda model, real, fake: shown.append(len(real)) or (real, fake))
    scorer = type("Scorer", (), {"held_out": torch.zeros(held_out)})
    follow._contest(scorer, type("Model", (), {"adversary": "D"}), torch.zeros(1000))
    assert all(n % follow.CHUNK != 1 for n in shown)
    assert len(shown) == (held_out > 1)
