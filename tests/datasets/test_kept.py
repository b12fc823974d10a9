"""A kept prepared folder is served while today's code would make the same of today's files, and made anew if not."""

import json
import shutil

import numpy as np
import pytest
from originals import FILED, IMAGES, lay_out, lay_out_arrays, raise_version, same
from PIL import Image

from latent_ot.datasets import celeba, images, writer
from latent_ot.datasets.base import available, load, names, sources
from latent_ot.datasets.content import read_card
from latent_ot.errors import InputError, StoreError


def hide(data_dir, key):
    """Take away everything but the prepared form."""
    for path in data_dir.iterdir():
        if path.name != key:
            path.rename(data_dir.parent / f"{data_dir.name}-hidden-{path.name}")


@pytest.mark.one_quick
@pytest.mark.parametrize("name", IMAGES)
def test_what_another_version_made_is_made_anew_and_said(name, tmp_path, monkeypatch, said):
    lay_out(name, tmp_path, monkeypatch)
    before = load(name, tmp_path)
    mapped, own = before.train, type(sources()[name]).__name__
    said()
    raise_version(name, monkeypatch)
    after = load(before.id, tmp_path)
    [line] = said()
    assert line.startswith(f"data set '{before.id}': prepared by {own} 1")
    assert f"today's is {own} 2" in line
    assert line.endswith(": made anew")
    assert (after.id, after.origin["source"][own]) == (before.id, 2)
    assert after.content_id != before.content_id
    assert read_card(tmp_path / after.id).origin == after.origin
    assert np.array_equal(mapped, after.train)  # who has the old arrays mapped keeps them
    assert same(load(name, tmp_path), after)
    assert said() == []
    assert not list(tmp_path.glob(".*"))


@pytest.mark.one_quick
@pytest.mark.parametrize("name", [name for name in IMAGES if "celeba" in name or "lsun" in name or "digits" in name])
def test_what_another_filter_made_is_never_served(name, tmp_path, monkeypatch, said):
    lay_out(name, tmp_path, monkeypatch)
    load(name, tmp_path)
    said()
    monkeypatch.setattr(images, "FILTER", Image.Resampling.BICUBIC)
    after = load(name, tmp_path)
    lay_out(name, tmp_path / "new", monkeypatch)
    if name == "celeba_hq256":
        assert said() == []
    else:
        assert " with filter bilinear, today's is " in said()[0]
    assert same(after, load(name, tmp_path / "new"))


@pytest.mark.parametrize(("part", "text"), [("side", "crop [109, 89, 160]"), ("size", "size 64")])
def test_what_another_crop_made_is_never_served(part, text, tmp_path, monkeypatch, said):
    name = "celeba64_crop160"
    lay_out(name, tmp_path, monkeypatch)
    before = load(name, tmp_path)
    said()
    monkeypatch.setitem(celeba.CROPS, name, celeba.Crop(109, 89, **{"side": 160, "size": 64, part: 96}))
    after = load(before.id, tmp_path)
    assert f"CelebA 1 with {text}, today's is CelebA 1 with " in said()[0]
    assert not np.array_equal(after.train, before.train)
    assert after.train.shape[1] == celeba.CROPS[name].size


@pytest.mark.one_quick
@pytest.mark.parametrize("name", FILED)
def test_without_its_originals_a_set_is_served_until_it_is_stale(name, tmp_path, monkeypatch, said):
    data = tmp_path / "data"
    lay_out(name, data, monkeypatch)
    before = load(name, data)
    hide(data, before.id)
    said()
    assert same(load(before.id, data), before)
    assert same(load(before.id, data, verify=True), before)
    assert said() == []
    assert available(data)[before.id] == "ready"
    raise_version(name, monkeypatch)
    with pytest.raises(
        InputError, match=r"prepared by .* 1.*, today's is .* 2.*, and it cannot be made anew: "
    ) as error:
        load(before.id, data)
    assert "\n" not in str(error.value)
    assert available(data)[before.id] == sources()[name].missing(name, data)
    raise_version(name, monkeypatch, 1)
    assert same(load(before.id, data), before)  # nothing was lost by trying


@pytest.mark.parametrize("name", ["cifar10_25k", "cifar10", "celeba64_6", "digits", "own"])
def test_arrays_that_a_user_laid_out_are_originals_whatever_their_name(name, tmp_path, monkeypatch, said):
    lay_out_arrays(tmp_path / name)
    before = load(name, tmp_path)
    assert before.origin == {"source": {"Arrays": 1}, "view": {}}
    for known in names():
        raise_version(known, monkeypatch)
    assert same(load(name, tmp_path), before)
    assert said() == []
    assert before.train.max() == 7


def old_card(folder, notes=()):
    """What was written before origins were."""
    (folder / "content.json").write_text(json.dumps({"notes": notes, "state": [], "content_id": "0" * 12}))


def test_what_was_made_before_versions_is_made_anew_where_a_source_makes_it(tmp_path, monkeypatch, said):
    lay_out("celeba64", tmp_path, monkeypatch)
    for name, notes in {"celeba64_6": ["6 are here, a part"], "digits": []}.items():
        wanted = load(name.removesuffix("_6"), tmp_path)
        shutil.rmtree(tmp_path / name)
        lay_out_arrays(tmp_path / name)
        old_card(tmp_path / name, notes)
        said()
        assert same(load(name, tmp_path), wanted)
        assert said()[0].startswith(f"data set '{name}': prepared before versions were kept, today's is ")
    lay_out_arrays(tmp_path / "cifar10_25k")
    old_card(tmp_path / "cifar10_25k")  # no part that a source made, as no source noted that
    assert load("cifar10_25k", tmp_path).train.max() == 7
    lay_out_arrays(tmp_path / "mnist")
    old_card(tmp_path / "mnist")
    with pytest.raises(InputError, match=r"cannot be made anew: .*MNIST/raw.*your own originals, delete content\.json"):
        load("mnist", tmp_path)


def test_a_stale_set_in_a_data_folder_that_cannot_be_written_is_not_served(tmp_path, monkeypatch, said):
    for name in ("digits", "celeba64"):
        lay_out(name, tmp_path, monkeypatch)
        load(name, tmp_path)
        raise_version(name, monkeypatch)
    monkeypatch.setattr(writer.tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError(30, "Read-only")))
    data = load("digits", tmp_path)
    assert (data.origin["source"], type(data.train)) == ({"Digits": 2}, np.ndarray)
    assert "stays in memory" in said()[-1]
    with pytest.raises(StoreError, match="cannot be written"):
        load("celeba64", tmp_path)
