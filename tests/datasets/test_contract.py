"""What a content id is made of: version, crop, size, filter, split and bytes, and never a place or a time."""

import dataclasses
import json

import numpy as np
import pytest
from originals import lay_out
from PIL import Image, ImageOps

from latent_ot.datasets import celeba, celeba_hq, cifar10, digits, folder, images, lsun_bedroom, mnist5k, stream, toy
from latent_ot.datasets.base import load, names, origin_of, origin_today, sources
from latent_ot.datasets.content import content_id
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits

ANYONES = "folder:pictures"
POINTS = [name for name in names() if sources()[name].kind == "points"]


def classes(base=Source):
    own = {c for c in base.__subclasses__() if c.__module__.startswith("latent_ot.")}
    return own.union(*(classes(c) for c in own))


def make(name, data_dir, monkeypatch, seed=0):
    """Load a named set from its tiny originals, or a folder of anyone's images."""
    if name != ANYONES:
        lay_out(name, data_dir, monkeypatch, seed)
        return load(name, data_dir)
    place = data_dir / "pictures"
    place.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (8, 40, 50), np.uint8)):
        Image.fromarray(pixels).save(place / f"{number}.png")
    return load(f"folder:{place}", data_dir)


@pytest.mark.parametrize("source", sorted(classes(), key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_every_source_states_a_version_of_its_own(source):
    assert type(source.__dict__["version"]) is int


@pytest.mark.one_quick
@pytest.mark.parametrize("name", [*names(), ANYONES])
def test_the_content_id_is_the_hash_of_origin_id_and_images(name, tmp_path, monkeypatch):
    data = make(name, tmp_path, monkeypatch)
    assert data.content_id == content_id(data.id, data, data.origin)
    assert data.content_id != content_id(data.id, data, {**data.origin, "source": {}})
    assert json.loads(json.dumps(data.origin)) == data.origin == origin_today(data.id, data.origin)
    assert origin_of(data.id) == (None if name == ANYONES else data.origin)
    part = load(name if name != ANYONES else data.id, tmp_path, subset=2)
    assert part.origin == {**data.origin, "subset": 2} == origin_today(part.id, part.origin)
    assert make(name, tmp_path / "elsewhere", monkeypatch).content_id == data.content_id


@pytest.mark.one_quick
@pytest.mark.parametrize("name", [*names(), ANYONES])
def test_a_raised_version_makes_another_set(name, tmp_path, monkeypatch):
    before = make(name, tmp_path, monkeypatch)
    for made_by in before.origin["source"]:
        with monkeypatch.context() as patch:
            patch.setattr(next(c for c in classes() if c.__name__ == made_by), "version", 2)
            after = make(name, tmp_path / made_by, patch)
        assert after.origin["source"][made_by] == 2
        assert after.content_id != before.content_id
        assert np.array_equal(after.train, before.train)


@pytest.mark.one_quick
@pytest.mark.parametrize("name", [*names(), ANYONES])
def test_the_filter_is_part_of_every_set_that_goes_through_it(name, tmp_path, monkeypatch):
    before = make(name, tmp_path / "before", monkeypatch)
    monkeypatch.setattr(images, "FILTER", Image.Resampling.BICUBIC)
    after = make(name, tmp_path / "after", monkeypatch)
    if before.origin["view"].get("filter") == "bilinear":
        assert after.origin["view"]["filter"] == "bicubic"
        assert after.content_id != before.content_id
    else:
        assert after.content_id == before.content_id
        assert np.array_equal(after.train, before.train)


def inverted(image, factor):
    return ImageOps.invert(image.reduce(factor))


USED = {
    "digits": [(digits, "SIZE", 16), (digits, "LEVELS", 17), (digits, "TEST", 300), (digits, "SPLIT", "other")],
    "mnist5k": [(mnist5k, "SIZE", 16), (mnist5k, "TEST", 900), (mnist5k, "SPLIT", "other")],
    "celeba64": [(celeba, "SPLIT", {"0": "test", "1": "validation", "2": "train"})],
    "celeba_hq256": [
        (celeba_hq, "SIZE", 128), (celeba_hq, "SHRINK", inverted), (celeba_hq, "TEST", 1), (stream, "SHARE", 5),
    ],
    "lsun_bedroom128": [(lsun_bedroom, "DRAWN", 7), (lsun_bedroom, "TEST", 1), (lsun_bedroom, "SPLIT", "other")],
    ANYONES: [(folder, "SHARE", 4), (folder, "SPLIT", "other")],
}  # fmt: skip


@pytest.mark.one_quick
@pytest.mark.parametrize(("name", "change"), [(name, change) for name, changes in USED.items() for change in changes])
def test_what_is_named_is_what_is_used(name, change, tmp_path, monkeypatch):
    before = make(name, tmp_path / "before", monkeypatch)
    monkeypatch.setattr(*change)
    after = make(name, tmp_path / "after", monkeypatch)
    assert after.origin["view"] != before.origin["view"]
    assert not np.array_equal(after.train, before.train)


@pytest.mark.one_quick
@pytest.mark.parametrize("part", ["row", "column", "side", "size"])
@pytest.mark.parametrize("name", celeba.CROPS)
def test_a_crop_is_what_is_named(name, part, tmp_path, monkeypatch):
    before, crop = make(name, tmp_path / "before", monkeypatch), celeba.CROPS[name]
    changed = dataclasses.replace(crop, **{part: getattr(crop, part) - 8})
    monkeypatch.setitem(celeba.CROPS, name, changed)
    after = make(name, tmp_path / "after", monkeypatch)
    assert after.origin["view"] != before.origin["view"]
    assert not np.array_equal(after.train, before.train)


@pytest.mark.one_quick
@pytest.mark.parametrize(("name", "key"), [(name, key) for name in POINTS for key in toy.SHAPES[name]])
def test_a_shape_is_what_is_named(name, key, tmp_path, monkeypatch):
    before, value = load(name, tmp_path), toy.SHAPES[name][key]
    longer = [*value[:-1], 2 * value[-1]] if isinstance(value, list) else type(value)(value * 1.5)
    monkeypatch.setitem(toy.SHAPES, name, {**toy.SHAPES[name], key: longer})
    after = load(name, tmp_path)
    assert after.origin["view"] != before.origin["view"]
    assert not np.array_equal(after.train, before.train)


def test_ids_alone_tell_the_origin_of_named_sets_and_their_parts():
    assert origin_of("mnist_10k") == {**origin_of("mnist"), "subset": 10_000}
    assert origin_of("celeba64_crop160_6k_500") == {**origin_of("celeba64_crop160"), "subset": 500}
    assert origin_of("cifar10")["source"] == {cifar10.Cifar10.__name__: 1}
    assert [origin_of(name) for name in ("folder_cats_0123abcd", "mnist5k_hard", "own_500", "10k")] == [None] * 4
    arrays = {"source": {"Arrays": 1}, "view": {}}
    assert origin_today("cifar10_25k", arrays) == arrays != origin_today("cifar10_25k", {**arrays, "subset": 9})


def test_labels_places_and_times_are_no_part_of_the_content_id():
    rows = np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3)
    made = content_id("own", Splits(rows[:3], rows[3:]), {})
    assert made == content_id("own", Splits(rows[:3], rows[3:], np.zeros(3), None, ("note",)), {})
    others = [("other", Splits(rows[:3], rows[3:]), {}), ("own", Splits(rows[:2], rows[3:]), {})]
    others += [("own", Splits(rows[:3], rows[2:]), {}), ("own", Splits(rows[:3], rows[3:]), {"view": {}})]
    assert len({made, *(content_id(*other) for other in others)}) == 5
