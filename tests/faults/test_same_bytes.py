"""Same work, same bytes: nothing in a result or on a page depends on the state of the machine that makes it."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planning import BUDGET, dataset, keys, planner

from latent_ot import api
from latent_ot.bench import machine, worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.pictures import as_trained
from latent_ot.bench.request import Request
from latent_ot.bench.scorer import Scorer
from latent_ot.catalog import Catalog
from latent_ot.datasets import prepared
from latent_ot.datasets.base import load
from latent_ot.datasets.folder import Folder
from latent_ot.datasets.stream import Folder as Streamed
from latent_ot.errors import InputError
from latent_ot.record import UNSTEADY, checked
from latent_ot.report.ranking import bench_table

LISTING = """
import os

scan, names = os.scandir, os.listdir


class Scan:
    def __init__(self, *path):
        with scan(*path) as found:
            self.entries = iter(sorted(found, key=lambda entry: entry.name, reverse=True))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    close = __exit__


def turn():
    os.scandir, os.listdir = Scan, lambda *path: sorted(names(*path), reverse=True)
"""
"""Lets every folder be listed in another order than the disk's own."""
PAGES = """
import hashlib, sys
from pathlib import Path
from latent_ot.report.page import generate
from latent_ot.results import load
root = Path(sys.argv[1])
found = generate(root, load(root))
for name, data in found.items():
    print(name, hashlib.sha256(data).hexdigest())
"""
PLACES = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC", "PYTHONUTF8": "1"},
    {"PYTHONHASHSEED": "4242", "LC_ALL": "de_DE.ISO-8859-1", "TZ": "Asia/Kathmandu", "PYTHONCOERCECLOCALE": "0"}
    | {"PYTHONUTF8": "0"},
)


@pytest.mark.slow
def test_pages_are_the_same_bytes_whatever_hash_seed_locale_time_zone_umask_folder_home_and_listing(
    rich_board, tmp_path
):
    other = tmp_path / "elsewhere"
    other.mkdir()
    started = []
    for place, where, mask in zip(PLACES, (tmp_path, other), (0o022, 0o077), strict=True):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
        there = kept | place | {"HOME": str(where), "PYTHONPATH": str(Path(machine.__file__).parents[2])}
        pages = LISTING + "turn()\n" * (where is other) + PAGES
        command = [sys.executable, "-c", pages, os.path.relpath(rich_board, where)]
        started.append(subprocess.Popen(command, env=there, cwd=where, umask=mask, stdout=subprocess.PIPE))
    found = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) > 5


@pytest.fixture
def reversed_folders(monkeypatch):
    there = {}
    exec(LISTING, there)

    def turn():
        monkeypatch.setattr(os, "scandir", there["Scan"])
        monkeypatch.setattr(os, "listdir", lambda *path: sorted(there["names"](*path), reverse=True))

    return turn


def photos(folder, n=12):
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray((rng.random((32, 32)) * 255).astype("uint8")).save(
            folder / ("sub" if i % 3 else "") / f"{i}.png"
        )
    return folder


def test_the_order_of_a_folders_listing_changes_nothing(tmp_path, reversed_folders):
    folder = photos(tmp_path / "photos")
    made = {
        "names": lambda: [Catalog().method_names(), Catalog().sampler_names()],
        "folder": lambda: Folder().identify(f"folder:{folder}"),
        "streamed": lambda: Streamed(folder).names,
        "prepared": lambda: prepared.found(tmp_path),
        "content": lambda: load(f"folder:{folder}", tmp_path / "nowhere").content_id,
    }
    before = {name: make() for name, make in made.items()}
    shutil.rmtree(tmp_path / "nowhere", ignore_errors=True)
    reversed_folders()
    assert os.listdir(folder)[0] == "sub"
    for name, make in made.items():
        assert make() == before[name], name


def test_a_data_set_under_another_path_is_the_same_data(tmp_path):
    found = []
    for place in ("one", "an other/ place"):
        folder = photos(tmp_path / place / "photos")
        found.append(load(f"folder:{folder}", tmp_path / place / "data"))
        os.symlink(folder, tmp_path / place / "photos2")
        found.append(load(f"folder:{tmp_path / place / 'photos2'}/", tmp_path / place / "data"))
    assert len({(one.id, one.content_id) for one in found}) == 1
    assert all(np.array_equal(one.train, found[0].train) for one in found)


@pytest.mark.parametrize("kept", [True, False])
def test_images_added_meanwhile_are_not_trained_on_under_the_old_content_id(tmp_path, kept):
    folder = photos(tmp_path / "photos")
    data = tmp_path / "data"
    if not kept:
        data.write_text("no folder: nothing can be kept")
    made = Benchmark(
        Request(f"folder:{folder}", ["pca"], [0], "smoke", data, tmp_path / "runs", evaluators=["cifar10"])
    )
    (stage, *_) = made.planned("pca", 0).stages
    Image.new("L", (32, 32), 200).save(folder / "added.png")
    order = worker.Order(
        stage.name, stage.job, (), tmp_path / "runs", data, made.request.dataset, None, (), None, ("cpu",)
    )
    folder = made.store.folder(stage.name)
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="its images have changed since this command began"):
        worker.run_stage(order, made.store, folder, None)


SPELT = (
    ({"glo": {"lr_z": 0.01}}, {"glo": {"lr_z": "1e-2"}}, {"glo": {"lr_z": ".010"}}, {"glo": {"lr_z": 1e-2}}),
    ({"glo": {"lr_z": 1}}, {"glo": {"lr_z": 1.0}}, {"glo": {"lr_z": "1"}}),
    ({"glo": {"lr": 0.1, "lr_z": 0.2}}, {"glo": {"lr_z": 0.2, "lr": 0.1}}, {"glo": {"lr_z": "2e-1", "lr": ".1"}}),
    ({}, {"glo": {"optim": "adam"}}, {"glo": {"batch_size": 64, "spectral": False}}, {"gaussian": {}}),
    ({"glo": {"spectral": True}}, {"glo": {"spectral": "true"}}, {"glo": {"spectral": True, "batch_size": 64}}),
    ({"glo": {"lr": 0.7}, "gaussian": {}}, {"glo": {"lr": 0.7}}),
)


@pytest.mark.parametrize("ways", SPELT, ids=lambda ways: str(ways[0]))
def test_one_setting_spelt_in_several_ways_is_one_row(ways):
    plans = [planner(overrides=way).run("glo", 0) for way in ways]
    assert len({plan.label for plan in plans}) == 1
    assert len({json.dumps(plan.overrides) for plan in plans}) == 1
    assert len({tuple(keys(plan)) for plan in plans}) == 1


def test_what_the_budget_sets_is_no_change_and_what_it_does_not_is_one():
    rates = {"rates": {"glo": {"lr": 0.05}}}
    at = planner(overrides={"glo": {"lr": 0.05}}, budget=BUDGET.__class__(**{**vars(BUDGET), **rates}))
    assert at.run("glo", 0).label == "glo"
    assert planner(overrides={"glo": {"lr": 0.05}}).run("glo", 0).label == "glo[lr=0.05]"
    assert planner(dataset("points"), {"kmeans_gauss": {"components": 8}}).run("kmeans_gauss_k8", 0).overrides == {}


STRAY = {
    "OMP_NUM_THREADS": "7", "OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "1", "MKL_NUM_THREADS": "3", "MKL_DYNAMIC": "1",
    "OPENBLAS_NUM_THREADS": "5", "PL_TRAINER_PRECISION": "bf16-true", "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",
    "PL_GLOBAL_SEED": "7", "NVIDIA_TF32_OVERRIDE": "0", "CUBLAS_WORKSPACE_CONFIG": ":16:8",
}  # fmt: skip


def test_variables_that_change_results_do_not_reach_a_worker_and_come_back_afterwards(monkeypatch):
    for name, value in STRAY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_PROC_BIND", "close")  # says where threads run, not how many
    before = dict(os.environ)
    with machine.settled():
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not os.environ.keys() & (STRAY.keys() - machine.STEADY.keys())
        assert os.environ["OMP_PROC_BIND"] == "close"
    assert dict(os.environ) == before


def test_what_chooses_the_processors_instructions_is_recorded(monkeypatch):
    for name in machine.PATHS:
        monkeypatch.delenv(name, raising=False)
    assert "instructions" not in machine.describe(torch.device("cpu"))
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert machine.describe(torch.device("cpu"))["instructions"] == "ATEN_CPU_CAPABILITY=default"


@pytest.fixture
def torchs_own_state():
    """Put back what a worker sets for good in its process."""
    environ, flags = dict(os.environ), torch.are_deterministic_algorithms_enabled()
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with warnings.catch_warnings():
        yield
    torch.use_deterministic_algorithms(flags)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32
    os.environ.clear()
    os.environ.update(environ)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you", "upsample"),
        ("Memory Efficient attention defaults to a non-deterministic algorithm. To", "Memory Efficient attention"),
        (
            "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS",
            "CuBLAS",
        ),
    ],
)
def test_an_operation_without_a_deterministic_form_is_met_by_name_and_nothing_else_is(said, name, torchs_own_state):
    warnings.simplefilter("ignore")
    met = machine.be_deterministic()
    for text in (said, said, "another warning"):
        warnings.warn(text, UserWarning, stacklevel=1)
    assert len(met) == 1
    assert next(iter(met)).startswith(name)


def test_how_a_gpu_computes_is_chosen_set_and_recorded(torchs_own_state, monkeypatch):
    torch.backends.cudnn.allow_tf32 = True  # torch's own choice, which an earlier test may have undone
    machine.be_deterministic()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    told = machine.describe(torch.device("cuda"))
    assert told == {
        "device": "A GPU",
        "cores": machine.cores(),
        "float32": "without TF32",
        "algorithms": "deterministic",
        "CUBLAS_WORKSPACE_CONFIG": os.environ["CUBLAS_WORKSPACE_CONFIG"],
    }
    assert not machine.describe(torch.device("cpu")).keys() & machine.ARITHMETIC.keys()


METHOD = """
import warnings
import torch
from latent_ot.methods.base import Method, require_images


class Own(Method):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.mean = torch.nn.Parameter(torch.zeros(require_images(spec, "own")))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        warnings.warn("scatter_cuda does not have a deterministic implementation, but you set it")
        loss = (batch.image - self.mean).square().mean()
        self.descend(loss, generator=self.optimizers())
        self.observe(loss=loss)

    def sample(self, n, generator):
        return (self.mean + 0.1 * torch.randn(n, *self.mean.shape, generator=generator)).clamp(0, 1)
"""


@pytest.mark.slow
def test_stages_are_the_same_bytes_by_one_and_by_two_workers_in_any_environment_and_say_what_is_unsteady(
    tmp_path, monkeypatch
):
    plugin = tmp_path / "own_method.py"
    plugin.write_text(METHOD)
    made = []
    for workers, environment in ((1, {}), (2, STRAY | {"LC_ALL": "C", "TZ": "Asia/Kathmandu"})):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        store, methods = tmp_path / f"runs{workers}", ["gldo", "pca", "own_method"]
        given = {"plugins": [plugin], "workers": workers}
        found, _ = Benchmark(Request("digits", methods, [0], "smoke", tmp_path / "data", store, **given)).execute()
        kept = ("status", "metrics", "reasons", "facts", "curves", "stages", "config", "updates")
        weights = {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("stages/*/*.safetensors")}
        made.append(([{key: run[key] for key in kept} for run in found], weights))
    assert json.dumps(made[0][0]) == json.dumps(made[1][0])
    assert made[0][1] == made[1][1]
    own = next(run for run in found if run["method"] == "own_method")
    assert own["facts"][UNSTEADY] == "scatter_cuda"
    (table,) = bench_table([checked(run) for run in found])
    why = "the same command again may give other numbers: scatter_cuda has no deterministic form"
    assert f"own_method seed 0: {why}" in table.notes


def test_work_in_this_process_takes_the_threads_of_the_run_and_gives_them_back():
    before = torch.get_num_threads()
    other = before + 1
    resources = type("Resources", (), {"device": "cpu"})
    benchmark = type("Given", (), {"request": Request("digits", threads=other), "resources": resources})
    assert as_trained(lambda given: torch.get_num_threads())(benchmark) == other
    assert api._as_trained(lambda run: torch.get_num_threads())(type("Run", (), {"job": {"threads": other}})) == other
    assert torch.get_num_threads() == before


def test_features_made_by_other_threads_are_not_taken_for_ones_own(tmp_path):
    rules = {"evaluator": "digits", "checksum": "0" * 64, "n": 20, "repeats": 1}
    names = []
    for threads in (1, 2):
        with machine.threads(threads):
            scorer = Scorer(load("digits", tmp_path / "data"), rules, None, tmp_path / "cache", torch.device("cpu"))
            assert len(scorer.real_features) == 20
        names.append({path.name for path in (tmp_path / "cache").glob("*.npz")})
    assert len(names[1]) == 2


def test_the_suites_own_words_are_read_alike_in_every_locale(monkeypatch):
    said = []
    for encoding in ("utf-8", "ascii", "cp1252"):
        monkeypatch.setattr("locale.getencoding", lambda encoding=encoding: encoding)
        monkeypatch.setattr("io.text_encoding", lambda given, *_, encoding=encoding: given or encoding)
        catalog = Catalog()
        said.append([catalog.docstring("methods", name) for name in sorted(catalog.files["methods"])])
    assert said[0] == said[1] == said[2]
