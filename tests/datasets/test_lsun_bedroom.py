"""LSUN's bedrooms from the LMDB or its export: one set, torchvision's geometry, no other bedrooms."""

import importlib.util

import numpy as np
import pytest
from originals import bedrooms, export
from PIL import Image
from torchvision.transforms import functional as vision

from latent_ot.datasets import lsun_bedroom
from latent_ot.datasets.base import load
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError

needs_lmdb = pytest.mark.skipif(importlib.util.find_spec("lmdb") is None, reason="the package lmdb is not installed")


def database(folder, files):
    import lmdb

    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for key, content in files.items():
            transaction.put(key.encode(), content)


@needs_lmdb
def test_the_database_and_its_export_are_one_set(tmp_path, monkeypatch):
    files = bedrooms()
    export(tmp_path / "a" / "lsun" / "bedroom_train", files)
    database(tmp_path / "b" / "lsun" / "bedroom_train_lmdb", files)
    database(tmp_path / "c" / "bedroom_train_lmdb", files)
    wanted = load("lsun_bedroom64", tmp_path / "a")
    assert (wanted.id, wanted.shape, wanted.shareable) == ("lsun_bedroom64_18", (3, 64, 64), False)
    for folder in ("b", "c"):
        assert load("lsun_bedroom64", tmp_path / folder).content_id == wanted.content_id
    for source in (tmp_path / "c", tmp_path / "c" / "bedroom_train_lmdb"):
        assert prepare("lsun_bedroom64", source, tmp_path / "d").content_id == wanted.content_id
    monkeypatch.setattr(lsun_bedroom, "WHOLE", 20)
    assert load("lsun_bedroom64", tmp_path / "b").id == "lsun_bedroom64"


def test_both_sizes_hold_out_the_same_photographs_and_the_larger_draws_fewer(tmp_path, monkeypatch):
    export(tmp_path / "lsun" / "bedroom_train", bedrooms(40, (140, 128)))
    monkeypatch.setattr(lsun_bedroom, "TEST", 3)
    monkeypatch.setattr(lsun_bedroom, "DRAWN", 10)
    monkeypatch.setattr(lsun_bedroom, "WHOLE", 40)
    made = {size: lsun_bedroom.LsunBedroom().read(f"lsun_bedroom{size}", tmp_path) for size in (64, 128)}
    assert [(len(m.train), len(m.test), m.id) for m in made.values()] == [
        (37, 3, "lsun_bedroom64"), (10, 3, "lsun_bedroom128"),
    ]  # fmt: skip
    assert made[64].test.names == made[128].test.names
    assert set(made[128].train.names) < set(made[64].train.names)
    assert not set(made[64].train.names) & set(made[64].test.names)
    assert list(made[128].train.names) == sorted(made[128].train.names, key=lambda path: path.rpartition("/")[2])
    assert load("lsun_bedroom128", tmp_path).shape == (3, 128, 128)


@pytest.mark.parametrize("size", [(90, 70), (70, 91), (256, 256), (341, 256), (64, 65)])
def test_short_side_then_centred_square_as_torchvision_does_it(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    wanted = vision.center_crop(vision.resize(image, 64), [64, 64])
    assert np.array_equal(np.asarray(lsun_bedroom.view(image, 64)), np.asarray(wanted))


def test_bedrooms_of_another_source_are_not_taken_for_lsuns(tmp_path):
    folder = tmp_path / "bedroom"
    folder.mkdir()
    for number in range(20):
        Image.new("RGB", (64, 64)).save(folder / f"{number:05d}.png")
    with pytest.raises(InputError, match=r"'00000\.png' in .* no name of LSUN's.*latent-ot prepare my_bedrooms@64"):
        prepare("lsun_bedroom64", folder, tmp_path / "data")
    assert prepare("my_bedrooms@64", folder, tmp_path / "data").id == "my_bedrooms"


def test_what_is_missing_too_small_or_damaged_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no bedroom_train_lmdb or bedroom_train in .*lsun; fetch .*github") as error:
        load("lsun_bedroom64", tmp_path)
    assert "\n" not in str(error.value)
    export(tmp_path / "small" / "lsun" / "bedroom_train", bedrooms(10, (80, 60)))
    with pytest.raises(InputError, match="is 80x60; allowed: a short side of 64 pixels or more"):
        load("lsun_bedroom64", tmp_path / "small")
    folder = tmp_path / "cut" / "lsun" / "bedroom_train_lmdb"
    folder.mkdir(parents=True)
    (folder / "data.mdb").write_bytes(b"cut" * 5000)
    if importlib.util.find_spec("lmdb"):
        with pytest.raises(InputError, match=r"data\.mdb' is damaged \(.*\); allowed: LSUN's database"):
            load("lsun_bedroom64", tmp_path / "cut")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="the package lmdb is not installed; run `pip install lmdb`"):
        load("lsun_bedroom64", tmp_path / "cut")
