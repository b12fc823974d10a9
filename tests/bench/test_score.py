"""Anyone's images are a row beside the suite's, with the figures that the same images have as a method's own."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch_fidelity
from faults.commands import Here
from PIL import Image
from torch_fidelity import registry
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

import latent_ot as lo
from latent_ot import cli
from latent_ot.bench import currency, evaluate, export, worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.executors import local
from latent_ot.bench.request import Request
from latent_ot.bench.score import ELSEWHERE, check_name, read, score
from latent_ot.bench.scorer import Scorer
from latent_ot.errors import InputError
from latent_ot.leaderboard import choose_records
from latent_ot.metrics import prd
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.small import Small
from latent_ot.report.page import generate
from latent_ot.report.ranking import bench_table
from latent_ot.report.text import render
from latent_ot.results import load

OF_IMAGES = {*keys_of("samples", "pairs", "pictures")} - {"interp_fid"}
"""What images alone determine."""
FORMS = ("samples.npz", "samples.npy", "samples")
TABLE = ("data", "pca", "my model")
SMOKE = ["--dataset", "digits", "--budget", "smoke"]


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A folder with a store in which a method is scored, and its samples; stages run here, without slow pictures."""
    folder = tmp_path_factory.mktemp("score")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(local, "Local", Here)
        patch.setattr(worker.Line, "send", lambda self, message: None)
        patch.setattr(evaluate, "save_latent", lambda *given: None)
        patch.setattr(prd, "RUNS", 2)  # one would tell nothing of how far clusterings are apart
        patch.setattr(prd, "STARTS", 1)
        benchmark = Benchmark(Request("digits", ["pca"], [0], "smoke", gpus=0))
        benchmark.execute()
        for out in FORMS:
            export.export(benchmark, "pca", 0, 400, Path(out))
        yield folder
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def scored(place):
    """The records of the method's own run, and of its samples as anyone's."""
    score(Benchmark(Request("digits", seeds=[0], budget="smoke", gpus=0)), Path("samples.npz"), "my model")
    return of("pca"), of("my model")


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command in this process; return its exit code and what it said."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["latent-ot", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code or 0, out=said.out, err=said.err)

    return run


def of(name):
    (record,) = (r for r in load(Path("runs")) if r.method == name)
    return record


def test_exported_samples_have_every_figure_of_their_methods_own_run_to_the_last_digit(scored, place):
    ours, theirs = scored
    assert theirs.metrics.keys() >= OF_IMAGES
    assert {key: ours.metrics[key] for key in theirs.metrics} == theirs.metrics
    assert theirs.curves.prd == ours.curves.prd
    assert {key: ours.facts[key] for key in ("sample_std", "collapsed")}.items() <= theirs.facts.items()
    assert theirs.protocol == ours.protocol
    pictures = [(place / "runs" / "results" / f"{r.stem}.samples.png").read_bytes() for r in scored]
    assert pictures[0] == pictures[1]


def test_the_record_says_what_the_images_came_as_but_not_from_where(scored, place):
    record = scored[1]
    assert record.external
    assert not record.stages
    came = record.facts["external"]
    assert (came["form"], came["images"], len(came["sha256"])) == ("npz", 400, 16)
    assert record.facts["scored_by"]["evaluator"] == {"Small": 1}
    assert record.reasons["psnr"] == record.reasons["interp_fid"] == ELSEWHERE
    words = "latent-ot score samples.npz --dataset digits --name 'my model' --budget smoke --seed 0 --evaluator digits"
    assert record.command == words
    assert str(place) not in (place / "runs" / "results" / f"{record.stem}.json").read_text()


def test_arrays_are_nhwc_and_a_folder_has_a_picture_of_each_and_all_are_read_as_the_same():
    array = np.load("samples.npy")
    assert (array.shape, array.dtype) == ((400, 32, 32, 1), np.uint8)
    with np.load("samples.npz") as held:
        assert held.files == ["arr_0"]
        assert np.array_equal(held["arr_0"], array)
    folder = Path("samples")
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:05d}.png" for i in range(400)]
    assert np.array_equal(np.asarray(Image.open(folder / "00007.png")), array[7, :, :, 0])
    for out in FORMS:
        assert torch.equal(read(out, (1, 32, 32), exact=True), torch.from_numpy(array).permute(0, 3, 1, 2))


def test_the_commands_export_score_and_show_a_row_beside_the_suites(command):
    assert command("sample", "pca", *SMOKE, "--n", 400, "--out", "again.npz").out == "again.npz\n"
    assert np.array_equal(np.load("again.npz")["arr_0"], np.load("samples.npy"))
    done = command("score", "again.npz", *SMOKE)
    assert done.code == 0, done.err
    assert "again (external)" in done.out
    assert "  pca" in done.out
    assert of("again").metrics.items() <= of("pca").metrics.items()


def test_an_export_harms_nothing_and_says_what_it_cannot_do(command, place):
    (place / "full").mkdir()
    (place / "full" / "mine.txt").write_text("mine")
    for out, n, said in (
        ("full", 10, "'full' holds files; allowed: a new or an empty folder"),
        (place / "full" / "mine.txt", 10, "is a file; allowed: a new or an empty folder"),
        ("p.png", 20_000, "n = 20000; allowed: 1 or more, at most 10000"),
    ):
        done = command("sample", "pca", *SMOKE, "--n", n, "--out", out)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
    assert [path.name for path in (place / "full").iterdir()] == ["mine.txt"]
    points = Benchmark(Request("moons", ["ae_ot_sd"], [0], "smoke"))
    with pytest.raises(InputError, match=r"holds 2-D points; allowed: a file \.npz, \.npy or \.png"):
        export.export(points, "ae_ot_sd", 0, 10, Path("points"))
    assert not list(place.glob(".*.part"))


def test_python_scores_the_same_files_as_the_command():
    found = lo.evaluate("samples.npz", "digits", store="runs")
    ours = of("pca").metrics
    assert found == pytest.approx({key: ours[key] for key in found}, rel=1e-7)  # records have eight digits


def test_an_external_row_stands_in_tables_and_pages_but_is_no_method(scored, place):
    row = scored[1]
    records = [r.model_copy(update={"stored": True}) for r in load(place / "runs") if r.method in TABLE]
    short = row.model_copy(update={"method": "pca", "budget": "ci", "facts": {}, "seed": 1})
    tables = bench_table([*records, short])
    assert len(tables) == 2
    for table in tables:  # it belongs to its protocol, not to a budget
        assert "my model (external)" in render([table], "text")
    notes = "\n".join(tables[0].notes)
    assert "not run at seed 1: my model" not in notes
    assert f"my model: no PSNR: {ELSEWHERE}" in notes
    page = generate(place / "runs", records)
    assert "my model (external)" in page["digits.md"].decode()
    assert "my model (external)" in page["README.md"].decode()
    assert "my model" not in page.get("works.md", b"").decode()
    assert {r.method for r in choose_records(records, "digits", "", [], [])} == {"data", "pca"}
    assert {r.method for r in choose_records(records, "digits", "", ["my model"], [])} == {"data", "my model"}


def test_an_external_row_outlives_other_code_until_what_scored_it_has_another_version(scored, monkeypatch):
    assert currency.outdated(scored[1]) == ()
    monkeypatch.setattr(Small, "version", 2)
    assert currency.outdated(scored[1]) == ("Small is version 2 now, was 1",)


def test_what_is_no_set_of_such_images_is_one_line(command, place, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 1), dtype=np.uint8)
    float_images = grey[:360].astype(np.float32) / 255
    float_images[3, 2, 1] = np.nan
    np.save("few.npy", grey[:359])
    np.save("nan.npy", float_images)
    np.save("large.npy", grey.repeat(2, axis=1).repeat(2, axis=2))
    np.save("colour.npy", grey.repeat(3, axis=3))
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez("two.npz", a=grey, b=grey)
    np.savez("none.npz")
    (place / "half.npz").write_bytes(b"PK\x03\x04half")
    for name, size, colour in (("sizes", (40, 36), 0), ("modes", (32, 32), 200)):
        (place / name).mkdir()
        Image.new("RGB", size, (colour, 0, 0)).save(place / name / "a.png")
    (place / "empty").mkdir()
    for source, said in {
        "few.npy": "359 images; allowed: 360 or more, as many as digits/digits-",
        "nan.npy": "1 pixels not finite",
        "large.npy": r"shape (1, 64, 64); allowed: (1, 32, 32)",
        "colour.npy": r"shape (3, 32, 32); allowed: (1, 32, 32)",
        "objects.npy": "'objects.npy' is damaged (",
        "two.npz": "it holds 2 arrays, a, b; one called arr_0 is asked for",
        "none.npz": "it is empty",
        "half.npz": "'half.npz' is damaged",
        "sizes": "'a.png' is a picture of 40 x 36 px; allowed: 32 x 32 px, grey",
        "modes": "'a.png' is a picture of 32 x 32 px, in colour; allowed: 32 x 32 px, grey",
        "empty": "holds no readable image",
        "absent": "there is no folder",
        "row.txt": "'row.txt' is a file; allowed: a folder of pictures, or a file .npz or .npy",
    }.items():
        (place / "row.txt").write_text("no images")
        done = command("score", source, *SMOKE, "--name", "x")
        assert (done.code, done.err.count("\n"), done.out) == (2, 1, ""), done.err
        assert said in done.err, done.err
    assert not [r for r in load(place / "runs") if r.method == "x"]
    assert read(place / "sizes", (1, 32, 32)).shape == (1, 1, 32, 32)  # in Python they are brought to size


@pytest.mark.parametrize(
    "name", ["pca", "data", "all", "a/b", "..", "a--b", "ae+gmm", "x[1]", " x", "-x", "", "x" * 61]
)
def test_a_name_is_ones_own_and_fits_a_file(name):
    with pytest.raises(InputError, match="allowed: letters, digits, blanks"):
        check_name(name, ["pca"])


@pytest.mark.parametrize("name", ["my model", "StyleGAN2-ADA (ours)", "x", "v1.2", "модель_3"])
def test_a_name_may_be_what_people_call_their_models(name):
    assert check_name(name, ["pca"]) == name


class Ours(FeatureExtractorBase):
    """Our evaluator as an extractor of torch-fidelity's."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.evaluator = load_evaluator("digits")

    @staticmethod
    def get_provided_features_list():
        return ("features", "logits")

    def forward(self, images):
        found = dict(zip(("features", "logits"), self.evaluator(images), strict=True))
        return tuple(found[name] for name in self.features_list)


def test_torch_fidelity_agrees_on_the_exported_folder(monkeypatch):
    """Its own code, with our evaluator as its extractor, finds our FID, KID and IS of a folder against another."""
    monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "ours", Ours)
    benchmark = Benchmark(Request("digits", ["pca"], [0], "smoke", gpus=0))
    n = len(benchmark.dataset.test)
    rules = benchmark.protocols[0].model_dump()
    export.export(benchmark, "pca", 0, n, Path("fidelity"))
    scorer = Scorer(benchmark.dataset, rules, None, benchmark.store.cache, torch.device("cpu"))
    export.write(Path("real"), scorer.real.permute(0, 2, 3, 1).numpy())
    found = torch_fidelity.calculate_metrics(
        input1="fidelity", input2="real", feature_extractor="ours", isc=True, fid=True, kid=True, cuda=False,
        feature_layer_isc="logits", feature_layer_fid="features", feature_layer_kid="features", kid_subset_size=n,
        kid_subsets=1, cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    ours = of("pca").metrics
    assert found["frechet_inception_distance"] == pytest.approx(ours["fid"], rel=1e-5)
    assert found["kernel_inception_distance_mean"] == pytest.approx(ours["kid"], rel=1e-4)
    assert found["inception_score_mean"] == pytest.approx(ours["is"], rel=1e-6)
    assert found["inception_score_std"] == pytest.approx(ours["is_std"], rel=1e-4)
