"""Named data sets, the prepared form, subsets and prepared folders."""

import json
import subprocess
import sys

import numpy as np
import pytest
from originals import idx, write_cifar, write_idx
from PIL import Image

from latent_ot.datasets import prepared, writer
from latent_ot.datasets.base import available, load, names, origin_of
from latent_ot.datasets.content import content_id
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError, StoreError


@pytest.fixture
def tiny_mnist(tmp_path):
    return tmp_path, *write_idx(tmp_path / "MNIST" / "raw")


def write_arrays(folder, count=30, channels=3):
    rng = np.random.default_rng(1)
    for split, n in (("train", count), ("test", 5)):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "images.npy", rng.integers(0, 256, (n, 32, 32, channels), dtype=np.uint8))
        np.save(folder / split / "labels.npy", np.arange(n) % 3)


def test_listing_needs_no_torch():
    code = "import sys; from latent_ot.datasets.base import names; names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"moons", "digits", "mnist5k", "mnist", "mnist28", "fashion_mnist", "cifar10"} <= set(names())


def test_digits_are_the_eight_pixel_digits_enlarged(tmp_path):
    from sklearn.datasets import load_digits

    data = load("digits", tmp_path)
    assert (data.id, data.shape, data.evaluator, data.shareable) == ("digits", (1, 32, 32), "digits", True)
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert np.abs(np.bincount(data.test_labels) - 36).max() <= 1
    means = np.concatenate([data.train, data.test]).mean(axis=(1, 2, 3))
    originals = load_digits().images.mean(axis=(1, 2)) * 255 / 16
    assert np.abs(np.sort(means) - np.sort(originals)).max() < 6  # the bilinear filter all but keeps the mean


@pytest.mark.slow
def test_mnist5k_is_the_packaged_digits_split_by_class(tmp_path):
    data = load("mnist5k", tmp_path)
    assert (data.shape, data.train.shape[0], data.test.shape[0], data.evaluator) == ((1, 32, 32), 4000, 1000, "mnist")
    assert np.array_equal(np.bincount(data.train_labels), np.full(10, 400))
    assert np.array_equal(np.bincount(data.test_labels), np.full(10, 100))
    assert not {x.tobytes() for x in data.train} & {x.tobytes() for x in data.test}
    assert isinstance(load("mnist5k", tmp_path).train, np.memmap)


def test_idx_files_are_read_plain_and_gzipped_and_resized_by_pillow(tiny_mnist):
    folder, images, labels = tiny_mnist
    data, small = load("mnist", folder), load("mnist28", folder)
    assert np.array_equal(small.train[..., 0], images[:40])
    assert np.array_equal(small.test_labels, labels[40:])
    resized = Image.fromarray(images[3]).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(data.train[3, ..., 0], np.asarray(resized))
    assert data.content_id != small.content_id


def test_a_second_load_maps_the_prepared_form_and_keeps_the_content_id(tiny_mnist):
    folder, _, _ = tiny_mnist
    first = load("mnist", folder)
    again = load("mnist", folder)
    assert isinstance(again.train, np.memmap)
    assert (
        again.content_id == first.content_id == content_id("mnist", prepared.read(folder / "mnist"), origin_of("mnist"))
    )
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]  # no temporary folder is left


def test_the_content_id_follows_the_images(tmp_path):
    write_arrays(tmp_path / "own")
    first = load("own", tmp_path).content_id
    assert json.loads((tmp_path / "own" / "content.json").read_text())["content_id"] == first
    images = np.load(tmp_path / "own" / "train" / "images.npy")
    images[0, 0, 0, 0] ^= 1
    np.save(tmp_path / "own" / "train" / "images.npy", images)
    assert load("own", tmp_path).content_id != first


def test_a_prepared_folder_is_scored_like_the_set_it_is_named_after(tmp_path):
    for name in ("cifar10_25k", "moonshots", "faces"):
        write_arrays(tmp_path / name)
    assert load("cifar10_25k", tmp_path).evaluator == "imagenet_lite0"
    assert load("cifar10_25k", tmp_path).shareable
    assert load("moonshots", tmp_path).evaluator == "imagenet_lite0"
    assert not load("faces", tmp_path).shareable
    assert load("faces", tmp_path).shape == (3, 32, 32)


def test_a_subset_is_fixed_stratified_named_and_reloadable(tmp_path):
    whole = load("digits", tmp_path)
    part = load("digits", tmp_path, subset=1000)
    assert (part.id, len(part.train), len(part.test)) == ("digits_1k", 1000, 360)
    share = np.bincount(whole.train_labels) * 1000 / 1437
    assert np.abs(np.bincount(part.train_labels) - share).max() < 1
    assert load("digits", tmp_path, subset=250).id == "digits_250"
    assert load("digits_1k", tmp_path).content_id == load("digits", tmp_path, subset=1000).content_id
    assert part.content_id != whole.content_id
    assert load("digits", tmp_path, subset=1437).content_id == whole.content_id
    for bad in (0, -1, 1438):
        with pytest.raises(InputError, match=rf"subset {bad} .*1 to 1437"):
            load("digits", tmp_path, subset=bad)


def test_a_data_folder_that_cannot_be_written_is_said_and_done_without(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    data = load("digits", tmp_path / "file" / "data")
    assert "stays in memory" in caplog.text
    assert data.content_id == load("digits", tmp_path).content_id
    with pytest.raises(StoreError, match="cannot be written"):
        prepare("digits", None, tmp_path / "file" / "data")


def test_unknown_names_get_the_nearest_valid_one(tmp_path):
    write_arrays(tmp_path / "kittens")
    with pytest.raises(InputError, match=r"'mnist5' is unknown.*nearest: mnist5k"):
        load("mnist5", tmp_path)
    with pytest.raises(InputError, match="nearest: kittens"):
        load("kitten", tmp_path)
    with pytest.raises(InputError, match="unknown"):
        load("../kittens", tmp_path / "kittens")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_missing_files_are_named_with_the_command_that_gets_them(name, tmp_path):
    with pytest.raises(InputError) as error:
        load(name, tmp_path)
    text = str(error.value)
    assert f"latent-ot prepare {name} --data-dir {tmp_path} --download" in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_what_is_available_is_said_without_reading_it(tiny_mnist):
    folder, _, _ = tiny_mnist
    write_arrays(folder / "own")
    states = available(folder)
    assert [states[name] for name in ("moons", "digits", "mnist5k", "mnist", "own")] == ["ready"] * 5
    assert "--download" in states["cifar10"]
    assert not (folder / "mnist").exists()
    assert str(load("mnist", folder)).startswith("mnist: 40 training and 10 test 1x32x32 images")


@pytest.mark.parametrize("keep", [2, 9, 1000])
def test_truncated_idx_files_are_named(keep, tiny_mnist):
    folder, _, _ = tiny_mnist
    path = folder / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="t10k-images-idx3-ubyte"):
        load("mnist", folder)
    assert not (folder / "mnist").exists()


def test_truncated_gzip_and_mismatched_labels_are_named(tiny_mnist):
    folder, _, labels = tiny_mnist
    raw = folder / "MNIST" / "raw"
    idx(raw / "t10k-labels-idx1-ubyte", labels[41:])
    with pytest.raises(InputError, match="fetch both again"):
        load("mnist", folder)
    packed = raw / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:200])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz"):
        load("mnist", folder)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "train/images.npy").write_bytes((f / "train/images.npy").read_bytes()[:500]), "damaged"),
        (lambda f: (f / "test/images.npy").unlink(), "missing"),
        (lambda f: np.save(f / "train/images.npy", np.zeros((3, 32, 32, 3))), "allowed: uint8"),
        (lambda f: np.save(f / "train/images.npy", np.zeros((3, 32, 16, 3), np.uint8)), "allowed: uint8"),
        (lambda f: np.save(f / "test/images.npy", np.zeros((3, 64, 64, 3), np.uint8)), "integers|differ"),
        (lambda f: np.save(f / "train/labels.npy", np.zeros(3, int)), r"integers \(30,\)"),
        (lambda f: np.save(f / "train/images.npy", np.array([{}]), allow_pickle=True), "damaged"),
    ],
)
def test_a_spoilt_prepared_folder_is_one_clear_line(spoil, says, tmp_path):
    write_arrays(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(InputError, match=says) as error:
        load("own", tmp_path)
    assert "\n" not in str(error.value)


def test_prepare_takes_idx_files_from_any_folder(tiny_mnist, tmp_path):
    folder, images, _ = tiny_mnist
    data = prepare("mnist28", folder / "MNIST" / "raw", tmp_path / "elsewhere")
    assert np.array_equal(data.train[..., 0], images[:40])
    assert prepare("mnist28", folder, tmp_path / "elsewhere").content_id == data.content_id  # the same again: fine


def test_prepare_takes_arrays_under_a_new_name_and_refuses_to_replace_others(tmp_path):
    write_arrays(tmp_path / "a")
    write_arrays(tmp_path / "b", count=20)
    data = prepare("own_set", tmp_path / "a", tmp_path / "data")
    assert (data.id, len(data.train)) == ("own_set", 30)
    with pytest.raises(InputError, match="holds other images"):
        prepare("own_set", tmp_path / "b", tmp_path / "data")
    with pytest.raises(InputError, match="allowed: letters and digits"):
        prepare("../own", tmp_path / "a", tmp_path / "data")
    with pytest.raises(InputError, match="made in code"):
        prepare("moons", tmp_path / "a", tmp_path / "data")
    with pytest.raises(InputError, match="no download"):
        prepare("digits", None, tmp_path / "data", download=True)


def test_cifar_batches_are_checked_before_they_are_unpickled(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(InputError, match="missing or damaged"):
        load("cifar10", tmp_path)


def test_cifar_batches_become_the_prepared_form(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    planes = write_cifar(folder, monkeypatch)
    data = load("cifar10", tmp_path)
    assert np.array_equal(data.train.transpose(0, 3, 1, 2), planes[:20])
    assert np.array_equal(data.test_labels, [0, 1, 2, 3])
    assert prepare("cifar10", folder, tmp_path / "other").content_id == data.content_id


def test_two_writers_at_once_and_a_killed_one_do_no_harm(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1), dtype=np.uint8)
    splits = prepared.Splits(images[:50], images[50:], notes=("said",))
    with ThreadPoolExecutor(4) as pool:
        for written in pool.map(lambda _: writer.write(tmp_path / "own", splits), range(8)):
            assert np.array_equal(written.splits.train, images[:50])
            assert written.splits.notes == ("said",)
    (tmp_path / "half" / "test").mkdir(parents=True)
    np.save(tmp_path / "half" / "test" / "images.npy", images[50:])  # killed between the two splits
    assert prepared.read(tmp_path / "half") is None
    assert np.array_equal(writer.write(tmp_path / "half", splits).splits.train, images[:50])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["half", "own"]
