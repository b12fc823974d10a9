"""The suite in Python: a run on the suite's data or on one's own, the same as the command line makes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

import latent_ot as lo
from latent_ot.datasets.base import load as load_set
from latent_ot.datasets.own import as_images, keep
from latent_ot.errors import InputError


def grey(n=60, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), dtype=np.uint8)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    where = tmp_path_factory.mktemp("api")
    return {"data_dir": where / "data", "store": where / "runs"}


@pytest.fixture(scope="module")
def run(places):
    return lo.train("pca+gmm", "digits", "smoke", **places)


def test_importing_the_package_costs_nothing():
    code = "import sys; import latent_ot; print({'torch', 'lightning', 'numpy', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = lo.trian


@pytest.mark.slow
def test_samples_are_those_of_the_command_line(run, places, tmp_path):
    x = run.sample(5, seed=0)
    assert (x.shape, x.dtype) == ((5, 1, 32, 32), torch.uint8)
    assert torch.equal(run.sample(3, seed=0), x[:3])
    assert not torch.equal(run.sample(5, seed=1), x)
    as_float = run.sample(5, seed=0, form="float")
    assert as_float.dtype == torch.float32
    assert torch.equal(as_float, x.float() / 255)
    assert run.picture(4).size == (70, 70)


@pytest.mark.slow
def test_metrics_are_those_of_the_record_in_the_store(run, places):
    metrics = run.evaluate()
    (path,) = (places["store"] / "results").glob("digits--pca+gmm--*.json")
    assert metrics == json.loads(path.read_text())["metrics"]


@pytest.mark.slow
def test_a_second_run_trains_nothing_and_a_folder_is_loaded_alone(run, places, capsys):
    again = lo.train("pca+gmm", "digits", "smoke", **places)
    assert again.folder == run.folder
    loaded = lo.load(str(run.folder))
    assert loaded.folders == run.folders
    assert torch.equal(loaded.sample(3), run.sample(3))
    with pytest.raises(InputError, match="loaded from its folder, without its data"):
        loaded.evaluate()


@pytest.mark.slow
def test_codes_there_and_back(run):
    images = load_set("digits", run.benchmark.request.data_dir).test[:4]
    codes = run.encode(images)
    assert codes.shape == (4, codes.shape[1])
    assert run.decode(codes).shape == (4, 1, 32, 32)
    assert run.reconstruct(images).float().sub(torch.from_numpy(images).permute(0, 3, 1, 2)).abs().mean() < 10


@pytest.mark.slow
def test_a_method_without_an_encoder_says_so(places):
    points = lo.train("kmeans_gauss", "ring8", "smoke", **places)
    assert points.sample(7).shape == (7, 2)
    with pytest.raises(InputError, match="2-D points"):
        points.picture()


class Named(Dataset):
    """Rows whose image has a name of its own."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return {"pixels": torch.zeros(1, 8, 8), "label": i}


def forms():
    """Return the same 60 images in every form that people have them in."""
    images = grey()
    tensor = torch.from_numpy(images)[:, None]
    columns = [{"image": Image.fromarray(image), "label": 0} for image in images]
    return {
        "(N, H, H)": images,
        "(N, H, H, 1)": images[..., None],
        "(N, 1, H, H)": images[:, None],
        "tensor": tensor,
        "float": images.astype(np.float64) / 255,
        "float tensor": tensor.float() / 255,
        "loader": DataLoader(TensorDataset(tensor, torch.zeros(60)), batch_size=7),
        "bare loader": DataLoader(tensor.float() / 255, batch_size=64),
        "batches without channels": DataLoader(TensorDataset(torch.from_numpy(images), torch.zeros(60)), batch_size=8),
        "with labels": (images, np.zeros(60, np.int64)),
        "objects": np.array([*images, None], object)[:-1],
        "map-style": TensorDataset(tensor, torch.zeros(60)),
        "rows with a column": columns,
        "pictures": [row["image"] for row in columns],
    }


@pytest.mark.parametrize("form", forms())
def test_ones_own_images_are_one_set_whatever_holds_them(form, tmp_path):
    given = forms()[form]
    assert np.array_equal(as_images(given), grey()[..., None])
    assert keep(given, None, tmp_path) == keep(grey(), None, tmp_path)


def test_ones_own_images_are_split_trained_on_and_found_again(places):
    run = lo.train("pca", grey(), "smoke", **places)
    dataset = run.benchmark.dataset
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (54, 6, (1, 16, 16))
    both = np.concatenate([dataset.train, dataset.test])[..., 0]
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in grey())
    assert lo.train("pca", grey(), "smoke", **places).folder == run.folder
    assert run.evaluate.__self__ is run
    given = lo.train("pca", grey(), "smoke", test=grey(9, seed=1), **places)
    assert len(given.benchmark.dataset.test) == 9


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (np.zeros((5, 4), np.uint8), r"shape \(5, 4\); allowed: \(N, H, H\)"),
        (np.zeros((5, 4, 6), np.uint8), r"shape \(5, 4, 6\)"),
        (np.zeros((0, 4, 4), np.uint8), r"shape \(0, 4, 4\)"),
        (np.zeros((5, 8, 8, 2), np.uint8), r"C = 1 or 3"),
        (np.full((5, 4, 4), 1.5), r"from 1.5 to 1.5; allowed: 0 to 1; nearest: divide by 255"),
        (np.full((5, 4, 4), -0.5), r"from -0.5 to -0.5; allowed: 0 to 1"),
        (np.full((5, 4, 4), np.nan), r"from nan to nan, 80 pixels not finite; allowed: 0 to 1"),
        (np.full((5, 4, 4), np.inf), r"80 pixels not finite"),
        (np.linspace(-1, 1, 80).reshape(5, 4, 4), r"from -1 to 1; allowed: 0 to 1; nearest: \(images \+ 1\) / 2"),
        (np.zeros((5, 4, 4), np.int64), r"type int64; allowed: uint8"),
        (np.full((5, 4, 4), 255), r"type int64; allowed: .*; nearest: images.astype\('uint8'\)"),
        (np.full((5, 4, 4), -300), r"type int64; .*; nearest: -300 to -300 scaled"),
        (np.full((5, 4, 4), True), r"type bool; allowed: uint8"),
        (np.full((5, 4, 4), "x"), r"type <U1; allowed: uint8"),
        (np.zeros(0), r"shape \(0,\); allowed"),
        (np.zeros((5, 0, 0), np.uint8), r"shape \(5, 0, 0\)"),
        (np.zeros((5, 3, 8, 6), np.uint8), r"shape \(5, 3, 8, 6\); allowed: \(N, H, H\)"),
        (np.zeros((5, 8, 8, 4), np.uint8), r"shape \(5, 8, 8, 4\); allowed: .* C = 1 or 3"),
        (
            np.array([grey(1)[0], grey(1, 8)[0]], object),
            r"shapes \(8, 8, 1\), \(16, 16, 1\); allowed: one or more, all",
        ),
        ((grey(6), np.zeros(5, int)), r"5 labels of 6 images; allowed: as many"),
        ([Image.new("P", (8, 8))], r"a picture of mode P; allowed: L, RGB; nearest: picture.convert\('RGB'\)"),
        ([Image.new("RGBA", (8, 8))], r"a picture of mode RGBA"),
        ([Image.new("RGB", (8, 6))], r"shape \(1, 6, 8, 3\)"),
        (["a.png", "b.png"], r"'a.png' in place of an image; .*folder:PATH"),
        ([None, None], r"type object|shape \(1,\)"),
        ({"image": grey()}, r"type dict; allowed: an array"),
        (DataLoader(Named(), batch_size=4), r"columns pixels, label; allowed: one of image"),
        (np.zeros((1, 4, 4), np.uint8), r"1 images; allowed: two or more"),
        (7, r"type int; allowed: an array"),
        ([], r"shapes none; allowed: one or more"),
        ([{"pixels": 1}], r"columns pixels; allowed: one of image"),
        ([grey(1), grey(1, 8)], r"shapes \(16, 16, 1\), \(8, 8, 1\)|shapes \(8, 8, 1\), \(16, 16, 1\)"),
    ],
)
def test_what_is_no_set_of_images_is_one_line(images, what, tmp_path):
    with pytest.raises(ValueError, match=what) as error:
        lo.train("pca", images, "smoke", data_dir=tmp_path, store=tmp_path / "runs")
    assert isinstance(error.value, InputError)
    assert "\n" not in str(error.value)


def test_channels_may_stand_first_or_last():
    colour = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(as_images(colour.transpose(0, 3, 1, 2)), colour)
    assert np.array_equal(as_images(list(colour.transpose(0, 3, 1, 2))), colour)
    assert np.array_equal(as_images([Image.fromarray(image) for image in colour]), colour)


@pytest.mark.slow
def test_other_mistakes_are_one_line(run, places, tmp_path):
    with pytest.raises(InputError, match=r"method 'pcaa' is unknown.*nearest: pca"):
        lo.train("pcaa", "digits", "smoke", **places)
    with pytest.raises(InputError, match=r"data set 'digit' is unknown.*nearest: digits"):
        lo.train("pca", "digit", "smoke", **places)
    with pytest.raises(InputError, match="setting 'componentz' is unknown"):
        lo.train("pca", "digits", "smoke", settings={"pca.componentz": 3}, **places)
    with pytest.raises(InputError, match="test images with the data set 'digits'"):
        lo.train("pca", "digits", "smoke", test=grey(), **places)
    with pytest.raises(InputError, match="form 'int' is unknown; allowed: float, uint8"):
        run.sample(2, form="int")
    with pytest.raises(InputError, match="n = 0; allowed: 1 or more"):
        run.sample(0)
    with pytest.raises(InputError, match=r"images of shape \(1, 16, 16\); allowed: \(1, 32, 32\)"):
        run.encode(grey())
    for settings, what in (
        ({"pca.components": -3}, "pca: setting 'components' = -3"),
        ({"components": 3}, r"components"),
        ({"pac.components": 3}, "nearest: pca"),
    ):
        with pytest.raises(InputError, match=what):
            lo.train("pca", "digits", "smoke", settings=settings, **places)
    for wrong, what in (
        ({"budget": "smok"}, "budget 'smok'.*nearest: smoke"),
        ({"evaluator": "minst"}, "'minst'.*nearest: mnist"),
        ({"subset": 0}, "subset 0 of data set 'digits'; allowed: 1 to"),
        ({"seed": -1}, "seed = -1; allowed: 0 or more"),
        ({"threads": 0}, "threads = 0; allowed: 1 or more"),
        ({"gpus": 99}, "gpus = 99"),
        ({"plugins": [tmp_path / "none.py"]}, "none.py"),
    ):
        with pytest.raises(InputError, match=what) as error:
            lo.train("pca+gmm", "digits", **{"budget": "smoke", **wrong}, **places).evaluate()
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=rf"nearest: {run.folder.name}"):
        lo.load(run.folder.with_name(run.folder.name[:-2]))
    for folder in (tmp_path, tmp_path / "none", places["store"], run.folder.parent):
        with pytest.raises(InputError, match="holds no trained stage; allowed: a folder under STORE/stages"):
            lo.load(folder)


@pytest.mark.slow
def test_a_run_whose_parts_are_gone_is_named(run, tmp_path):
    import shutil

    shutil.copytree(run.folder, tmp_path / run.folder.name)
    with pytest.raises(InputError, match="builds on a stage with the key"):
        lo.load(tmp_path / run.folder.name)


@pytest.mark.slow
def test_held_out_images_score_as_the_data_row_does(run, places):
    run.evaluate()
    (path,) = (places["store"] / "results").glob("digits--data--*.json")
    row = json.loads(path.read_text())["metrics"]
    images = load_set("digits", places["data_dir"]).test
    found = lo.evaluate(images, "digits", **places)
    assert found == pytest.approx(row, rel=1e-4, abs=1e-6)
    assert lo.evaluate(torch.from_numpy(images).float() / 255, "digits", **places) == found


@pytest.mark.slow
def test_images_of_a_folder_are_brought_to_the_sets_shape(places, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(360):
        Image.fromarray(rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(tmp_path / f"{i:03d}.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = lo.evaluate(tmp_path, "digits", **places)
    assert found["fid"] > 10
    assert lo.evaluate(f"folder:{tmp_path}", "digits", **places) == found


def test_what_cannot_be_scored_is_one_line(places, tmp_path):
    for images, dataset, evaluator, what in (
        (grey(400), "digits", None, r"shape \(1, 16, 16\); allowed: \(1, 32, 32\)"),
        (grey(40, 32), "digits", None, "40 images; allowed: 360 or more, as many as digits/digits-.* scores"),
        (grey(400, 32), "digit", None, "data set 'digit' is unknown.*nearest: digits"),
        (grey(400, 32), "digits", "minst", "'minst'.*nearest: mnist"),
        (grey(400, 32), "ring8", None, "evaluate scores images; ring8 holds 2-D points"),
        (np.full((400, 32, 32), 1.5), "digits", None, "nearest: divide by 255"),
        (tmp_path / "none", "digits", None, "there is no folder"),
        (str(tmp_path), "digits", None, "holds no readable image"),
    ):
        with pytest.raises(InputError, match=what) as error:
            lo.evaluate(images, dataset, evaluator, **places)
        assert "\n" not in str(error.value)
