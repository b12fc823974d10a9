"""A finished method with an encoder scores anyone's images; a stopping rule is one flag."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from latent_ot import cli
from latent_ot.bench import quality as scoring
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.quality import quality
from latent_ot.bench.request import Request
from latent_ot.bench.train import as_tensor
from latent_ot.errors import InputError
from latent_ot.methods.dcgan import Dcgan, DcganConfig
from latent_ot.methods.pca import Pca, PcaConfig
from latent_ot.metrics.quality import hdr_threshold, reconstruction_errors
from latent_ot.stage import Spec, as_float


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


def benchmark(folder, method, dataset="digits"):
    return Benchmark(Request(dataset, [method], [0], "smoke", folder / "data", folder / "runs", subset=200, gpus=0))


def stand_in(patch, folder, model):
    """Let ``model`` be what a finished training has left."""
    patch.setattr(scoring, "folders", lambda *of: {"train": folder})
    patch.setattr(scoring, "load_stage", lambda *of: model.eval())


@pytest.fixture(scope="module")
def model(folder):
    rows = benchmark(folder, "pca").dataset.train
    pca = Pca(PcaConfig(components=20), Spec((1, 32, 32), len(rows), 0))
    pca.fit(as_float(as_tensor(rows)))
    return pca.eval()


@pytest.fixture
def trained(folder, model, monkeypatch):
    stand_in(monkeypatch, folder, model)
    return benchmark(folder, "pca")


@pytest.fixture(scope="module")
def images(folder):
    """Three training images in other sizes, modes and formats, noise, and a file that is no image."""
    root, rows = folder / "images", benchmark(folder, "pca").dataset.train
    (root / "sub").mkdir(parents=True)
    digits = [Image.fromarray(image[..., 0]) for image in rows[:3]]
    digits[0].save(root / "digit.png")
    digits[1].convert("RGB").resize((64, 64), Image.Resampling.NEAREST).save(root / "large.bmp")
    digits[2].convert("RGBA").save(root / "sub" / "alpha.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.png")
    (root / "notes.txt").write_text("no image")
    return root


def test_noise_is_an_outlier_and_training_images_are_none(trained, images, tmp_path):
    report = quality(trained, "pca", 0, images, 2, 0.05, tmp_path / "q.png")
    assert {row.file for row in report.images} == {"digit.png", "large.bmp", "sub/alpha.png", "noise.png"}
    assert report.images[-1].file == "noise.png"
    assert report.outliers == ["noise.png"]
    assert report.unreadable == ("notes.txt",)
    errors = [row.error for row in report.images]
    assert errors == sorted(errors)
    for row in report.images:
        assert row.score == pytest.approx(np.exp(-row.error), rel=1e-5)
        assert row.inside == (row.error <= report.region.threshold)
    assert report.region.fitted + report.region.tested == len(trained.dataset.test)


def test_the_error_is_that_of_the_image_as_the_data_set_holds_it(trained, model, images, tmp_path):
    report = quality(trained, "pca", 0, images, 1, 0.05, tmp_path / "q.png")
    x = torch.from_numpy(trained.dataset.train[:1].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.no_grad():
        expected = (x - model.decode(model.encode(x))).norm().item()
    assert next(r.error for r in report.images if r.file == "digit.png") == pytest.approx(expected, rel=1e-4)


def test_as_many_held_out_images_are_outside_as_the_level_says_and_as_is_reported(trained, model, tmp_path):
    folder, n = tmp_path / "test", len(trained.dataset.test)
    folder.mkdir()
    for i, image in enumerate(trained.dataset.test):
        Image.fromarray(image[..., 0]).save(folder / f"{i:04}.bmp")
    report = quality(trained, "pca", 0, folder, 1, 0.2, tmp_path / "q.png")
    region = report.region
    assert len(report.images) == n == region.fitted + region.tested
    assert len(report.outliers) == region.fitted - math.ceil(0.8 * region.fitted) + round(
        region.reached * region.tested
    )
    assert region.reached == pytest.approx(0.2, abs=4 * (0.16 * 2 / region.tested) ** 0.5)

    def errors(rows):
        with torch.no_grad():
            x = as_float(as_tensor(rows))
            return reconstruction_errors(x, model.decode(model.encode(x)))

    # A border set by training images shuts out more: of 200 of them, 20 components know them by heart in part.
    of_training = hdr_threshold(errors(trained.dataset.train), 0.2)
    assert (errors(trained.dataset.test) > of_training).double().mean() > 0.3


def test_the_picture_has_the_best_above_the_worst(trained, images, tmp_path):
    report, gap = quality(trained, "pca", 0, images, 50, 0.05, tmp_path / "q.png"), 2
    sheet = np.asarray(Image.open(tmp_path / "q.png"))
    assert sheet.shape == (2 * 34 + gap, 4 * 34 + gap)
    best, worst = (
        [sheet[gap + 34 * row : 34 * (row + 1), gap + 34 * i : 34 * (i + 1)] for i in range(4)] for row in (0, 1)
    )
    place = [row.file for row in report.images].index("digit.png")
    assert (best[place] == trained.dataset.train[0, ..., 0]).all()
    assert all((a == b).all() for a, b in zip(best, worst[::-1], strict=True))
    quality(trained, "pca", 0, images, 2, 0.05, tmp_path / "q.png")
    assert np.asarray(Image.open(tmp_path / "q.png")).shape == (2 * 34 + gap, 2 * 34 + gap)


def test_what_is_not_trained_or_holds_no_images_says_so(folder, images, tmp_path):
    with pytest.raises(InputError, match="vae is not trained on digits"):
        quality(benchmark(folder, "vae"), "vae", 0, images, 1, 0.05, tmp_path / "q.png")
    with pytest.raises(InputError, match="moons_200 holds 2-D points"):
        quality(benchmark(folder, "vae", "moons"), "vae", 0, images, 1, 0.05, tmp_path / "q.png")


def test_a_method_without_an_encoder_says_so(folder, images, tmp_path, monkeypatch):
    gan = Dcgan(DcganConfig(), Spec((1, 32, 32), 10, 10, width=0.05))
    stand_in(monkeypatch, folder, gan)
    with pytest.raises(InputError, match="dcgan scores no images: a GAN has no encoder"):
        quality(benchmark(folder, "dcgan"), "dcgan", 0, images, 1, 0.05, tmp_path / "q.png")
    assert not list(tmp_path.iterdir())


def test_folders_without_images_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        quality(trained, "pca", 0, tmp_path / "absent", 1, 0.05, tmp_path / "q.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no readable image"):
        quality(trained, "pca", 0, tmp_path / "empty", 1, 0.05, tmp_path / "q.png")


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["latent-ot", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr()


def test_the_command_prints_a_table_or_json(trained, images, folder, tmp_path, monkeypatch, capsys):
    words = ["quality", "pca", "--dataset", "digits", "--budget", "smoke", "--images", images, "--out",
             tmp_path / "q.png", "--store", folder / "runs", "--data-dir", folder / "data"]  # fmt: skip
    code, said = run(monkeypatch, capsys, *words)
    assert code == 0
    assert "noise.png" in said.out
    assert str(tmp_path / "q.png") in said.out
    _, said = run(monkeypatch, capsys, *words, "--json")
    assert json.loads(said.out)["outliers"][0] == "noise.png"


def test_a_stopping_rule_is_the_setting_of_every_method_that_has_one(folder):
    asked = Request(
        "ring8", ["iwgan", "wgan_gp"], [0], "smoke", folder / "data", folder / "runs",
        overrides={"iwgan": {"gap_tol": 0.5}}, gpus=0, stop="duality_gap",
    )  # fmt: skip
    found = Benchmark(asked).request
    assert found.overrides == {"iwgan": {"gap_tol": 0.5, "stop": "duality_gap"}}
    assert "--set iwgan.stop=duality_gap" in found.command("iwgan", 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "pca", "--stop", "duality-gap"], "none of pca has a stopping rule"),
        (["train", "iwgan", "--stop", "dualty-gap"], "nearest: duality-gap"),
        (["bench", "--methods", "pca,glo", "--stop", "duality-gap"], "none of pca, glo"),
    ],
)
def test_a_stopping_rule_for_nothing_is_one_line(words, said, folder, monkeypatch, capsys):
    store = ["--dataset", "digits", "--store", folder / "runs", "--data-dir", folder / "data"]
    code, output = run(monkeypatch, capsys, *words, *store)
    assert code == 2
    assert said in output.err
    assert output.err.count("\n") == 1
