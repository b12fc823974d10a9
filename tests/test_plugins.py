"""A user's own file joins as what its class is, whichever of the six kinds that is, and what it makes is shown."""

import csv
import json
from dataclasses import replace

import pytest

from latent_ot import leaderboard
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.currency import stored
from latent_ot.bench.request import Request
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.quantities import QUANTITIES, foreign, learn
from latent_ot.report.ranking import bench_table
from latent_ot.report.text import render
from latent_ot.results import load

METRIC = '''
"""Brightness: how far the mean grey level of samples is from that of real images, in the evaluator's features."""

from latent_ot.metrics.base import Metric


class Brightness(Metric):
    version = 1
    quantities = {"brightness": {"label": "brightness gap", "direction": "down", "digits": 4, "group": "main"}}
    measures = "samples"

    @staticmethod
    def compute(real, fake, seed):
        return {"brightness": float((real.features.mean() - fake.features.mean()).abs())}
'''
SAMPLER = '''
"""Draws training codes again."""

import torch

from latent_ot.samplers.base import LatentSampler


class Again(LatentSampler):
    version = 1

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.register_buffer("kept", torch.zeros(spec.count, *spec.shape))

    def _fit(self, codes):
        self.kept.copy_(codes)

    def _sample(self, n, generator):
        return self.kept[torch.randint(len(self.kept), (n,), generator=generator)]
'''
DATASET = '''
"""Stripes of random brightness, 16 pixels wide and high."""

import numpy as np

from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits


class Stripes(Source):
    names = ("stripes",)
    version = 1
    evaluator = "digits"
    shareable = True

    def view(self, name):
        return {"size": 16}

    def read(self, name, data_dir, source=None):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (300, 1, 16, 1), dtype=np.uint8).repeat(16, axis=1)
        return Splits(images[:200], images[200:])
'''
EVALUATOR = '''
"""Features that need no network: 4 x 4 blocks' means; classes by which block is brightest."""

import hashlib

from torch.nn.functional import adaptive_avg_pool2d

from latent_ot.metrics.evaluators.base import Evaluator


class Blocks(Evaluator):
    version = 1
    names = ("blocks",)

    def __init__(self, name, weights=None, device="cpu"):
        super().__init__(name, hashlib.sha256(b"4 x 4").hexdigest(), device)

    def forward(self, images):
        features = adaptive_avg_pool2d(images.float().mean(dim=1, keepdim=True) / 255, 4).flatten(1)
        return features, 8 * features
'''
FAMILY = '''
"""A linear generator and a linear critic."""

from torch import nn

from latent_ot.networks.base import UNIT, Family


class Generator(nn.Sequential):
    def __init__(self, latent_dim, shape, width=1.0):
        size = shape[0] * shape[1] * shape[2]
        super().__init__(nn.Linear(latent_dim, size), nn.Sigmoid(), nn.Unflatten(1, shape))


class Critic(nn.Sequential):
    def __init__(self, shape, out_dim=1, width=1.0, norm="none"):
        super().__init__(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], out_dim))


class LinearNetworks(Family):
    version = 1
    name = "linear"
    data_range = UNIT
    generator = Generator
    critic = Critic
'''
METHOD = '''
"""The mean image with noise."""

import torch

from latent_ot.methods.base import Method


class Mean(Method):
    version = 1
    closed_form = True

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.register_buffer("mean", torch.zeros(spec.shape))

    def fit(self, images):
        self.mean.copy_(images.mean(dim=0))

    def sample(self, n, generator):
        return (self.mean + 0.2 * torch.randn(n, *self.mean.shape, generator=generator)).clamp(0, 1)
'''
OWN = {
    "brightness": METRIC, "again": SAMPLER, "stripes": DATASET, "blocks": EVALUATOR, "linear": FAMILY, "mean": METHOD,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("own")
    for name, text in OWN.items():
        (where / f"{name}.py").write_text(text)
    return where


@pytest.fixture
def asked(tmp_path) -> Request:
    return Request("digits", ["pca"], [0], "smoke", tmp_path / "data", tmp_path / "runs")


def bench(request):
    benchmark = Benchmark(request)
    records, _ = benchmark.execute()
    return {record["method"]: record for record in records}, benchmark


@pytest.mark.slow
def test_a_metric_is_a_column_of_the_table_the_csv_and_the_page(asked, folder):
    assert len(METRIC.strip().splitlines()) <= 30
    records, _ = bench(replace(asked, plugins=[folder / "brightness.py"]))
    assert records["pca"]["metrics"]["brightness"] >= 0
    made_of = {stage["stage"]: stage["made_of"] for stage in records["pca"]["stages"]}
    assert made_of["evaluate"]["metrics"]["Brightness"] == 1
    assert made_of["evaluate"]["plugin"].keys() == {"brightness.py"}
    del QUANTITIES["brightness"]  # a later command has the record and not the file
    shown = load(asked.store, stored=True)
    assert "brightness gap ↓" in render(bench_table(shown), "text")
    assert "brightness" in next(csv.reader(render(bench_table(shown), "csv").splitlines()))
    leaderboard.write(asked.store, stored(asked.store))
    assert "brightness gap ↓" in (asked.store / "digits.md").read_text()
    assert "brightness@" in (asked.store / "digits.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_a_metric_is_measured_anew_when_its_file_changes(asked, folder, tmp_path):
    path = tmp_path / "brightness.py"
    keys = set()
    for more in ("", "# another text\n"):
        path.write_text(METRIC + more)
        records, _ = bench(replace(asked, plugins=[path]))
        keys.add(records["pca"]["stages"][-1]["key"])
    records, _ = bench(asked)
    assert records["pca"]["stages"][-1]["key"] in keys or len(keys) == 2


@pytest.mark.slow
def test_a_sampler_a_method_and_a_family_are_run_by_name(asked, folder):
    plugins = [folder / f"{name}.py" for name in ("again", "mean", "linear")]
    methods = ["pca+again", "mean", "wgan_gp"]
    overrides = {"wgan_gp": {"network": "linear"}}
    records, _ = bench(replace(asked, methods=methods, plugins=plugins, overrides=overrides))
    found = {name.partition("[")[0]: record for name, record in records.items()}
    assert {name: found[name]["status"] for name in methods} == dict.fromkeys(methods, "done")
    assert found["wgan_gp"]["stages"][0]["made_of"]["networks"] == {"LinearNetworks": 1}
    assert found["wgan_gp"]["stages"][0]["made_of"]["plugin"].keys() == {"linear.py"}
    assert "linear.py" not in json.dumps(found["mean"]["stages"])


@pytest.mark.slow
def test_a_data_set_is_loaded_by_its_name_and_an_evaluator_scores_it(asked, folder):
    plugins = [folder / "stripes.py", folder / "blocks.py"]
    records, benchmark = bench(replace(asked, dataset="stripes", evaluators=["blocks"], plugins=plugins))
    assert records["pca"]["status"] == "done"
    assert records["pca"]["protocol"]["evaluator"] == "blocks"
    assert benchmark.dataset.origin["plugin"].keys() == {"stripes.py"}
    assert records["data"]["metrics"]["fid"] < records["pca"]["metrics"]["fid"]


def test_a_file_counts_by_its_classes_not_by_its_words(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(METHOD.replace("with noise", "unlike a LatentSampler or a Metric"))
    catalog = Catalog([path])
    assert "own" in catalog.method_names()
    assert "own" not in catalog.sampler_names()


def test_one_file_may_hold_a_method_and_its_networks(tmp_path):
    path = tmp_path / "both.py"
    path.write_text(METHOD + FAMILY)
    assert Catalog([path]).files["networks"]["both"] == path.resolve()
    assert "both" in Catalog([path]).method_names()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1\n", "defines no part of a suite; allowed: a subclass of one of Method, LatentSampler"),
        ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(:\n", "cannot be imported: SyntaxError"),
        (METHOD + METHOD.replace("Mean", "Other"), "defines 2 subclasses of Method; allowed: exactly one"),
    ],
)
def test_a_file_that_is_none_is_one_line(text, what, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(InputError, match="own") as error:
        Catalog([path])
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_quantity_may_not_take_the_place_of_the_suites():
    card = QUANTITIES["fid"].card()
    with pytest.raises(InputError, match=r"a\.json: quantity 'fid' is one of the suite's"):
        learn({"fid": card}, "a.json")
    with pytest.raises(InputError, match=r"a\.json: quantity 'own'"):
        learn({"own": {"label": "own"}}, "a.json")
    learn({"own": card}, "a.json")
    assert foreign(["own", "fid", "psnr"]) == {"own": card}
