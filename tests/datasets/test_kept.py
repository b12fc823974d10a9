"""A kept prepared folder is served while today's code would make the same of today's files, and made anew if not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from originals import lay_out, write_faces
from PIL import Image

from latent_ot.datasets import celeba, images, prepared
from latent_ot.datasets.base import available, load, names, sources
from latent_ot.datasets.content import Card, read_card, write_card
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError

IMAGES = [name for name in names() if sources()[name].kind == "image"]
FILED = [name for name in IMAGES if sources()[name].missing(name, Path("nowhere"))]


@pytest.fixture
def said(caplog):
    """What was said since the last time."""

    def take():
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return [line for line in lines if "images are here, a part of" not in line]

    return take


def raise_version(name, patch, to=2):
    patch.setattr(type(sources()[name]), "version", to)


def originals(data_dir, key):
    return [path for path in data_dir.rglob("*") if path.is_file() and key not in path.parts]


def hide(data_dir, key):
    """Take away everything but the prepared form."""
    for path in data_dir.iterdir():
        if path.name != key:
            path.rename(data_dir.parent / f"{data_dir.name}-hidden-{path.name}")


def same(one, other):
    return one.content_id == other.content_id and np.array_equal(one.train, other.train)


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


@pytest.mark.parametrize("name", FILED)
def test_replaced_originals_are_noticed_and_touched_ones_are_the_same(name, tmp_path, monkeypatch, said):
    lay_out(name, tmp_path, monkeypatch)
    before = load(name, tmp_path)
    said()
    for path in originals(tmp_path, before.id):
        os.utime(path, ns=(1, path.stat().st_mtime_ns - 10**9))
    assert same(load(before.id, tmp_path), before)
    assert said() == []
    monkeypatch.setattr(type(sources()[name]), "read", None)  # the new times are noted: nothing is read any more
    assert same(load(before.id, tmp_path), before)
    monkeypatch.undo()
    lay_out(name, tmp_path, monkeypatch, seed=1)
    after = load(before.id, tmp_path)
    assert said() == [f"data set '{before.id}': its original files changed: made anew"]
    lay_out(name, tmp_path / "new", monkeypatch, seed=1)
    assert same(after, load(name, tmp_path / "new"))
    assert after.content_id != before.content_id


def keep_times(path, change):
    stat = path.stat()
    change(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size


def flip_last(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoilt", ["MNIST/raw/t10k-images-idx3-ubyte", "mnist28/test/images.npy"])
def test_verify_reads_what_sizes_and_times_do_not_tell(spoilt, tmp_path, monkeypatch, said):
    lay_out("mnist28", tmp_path, monkeypatch)
    before = load("mnist28", tmp_path)
    keep_times(tmp_path / spoilt, flip_last)
    assert load("mnist28", tmp_path).content_id == before.content_id
    said()
    after = prepare("mnist28", None, tmp_path, verify=True)
    assert said() == ["data set 'mnist28': its prepared images are not what its original files give: made anew"]
    assert (after.content_id == before.content_id) == spoilt.startswith("mnist28")
    assert same(load("mnist28", tmp_path, verify=True), after)
    assert said() == []


def test_verify_of_arrays_alone_says_that_they_changed(tmp_path, said):
    write_arrays(tmp_path / "own")
    before = load("own", tmp_path)
    keep_times(tmp_path / "own" / "test" / "images.npy", flip_last)
    assert load("own", tmp_path, verify=True).content_id != before.content_id
    assert said() == ["data set 'own': its prepared images are no longer those that were hashed"]


def write_arrays(folder, value=7):
    for split, count in (("train", 6), ("test", 2)):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "images.npy", np.full((count, 32, 32, 3), value, np.uint8))


@pytest.mark.parametrize("name", ["cifar10_25k", "cifar10", "celeba64_6", "digits", "own"])
def test_arrays_that_a_user_laid_out_are_originals_whatever_their_name(name, tmp_path, monkeypatch, said):
    write_arrays(tmp_path / name)
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
        write_arrays(tmp_path / name)
        old_card(tmp_path / name, notes)
        said()
        assert same(load(name, tmp_path), wanted)
        assert said()[0].startswith(f"data set '{name}': prepared before versions were kept, today's is ")
    write_arrays(tmp_path / "cifar10_25k")
    old_card(tmp_path / "cifar10_25k")  # no part that a source made, as no source noted that
    assert load("cifar10_25k", tmp_path).train.max() == 7
    write_arrays(tmp_path / "mnist")
    old_card(tmp_path / "mnist")
    with pytest.raises(InputError, match=r"cannot be made anew: .*MNIST/raw.*your own originals, delete content\.json"):
        load("mnist", tmp_path)


def test_a_stale_set_in_a_data_folder_that_cannot_be_written_is_not_served(tmp_path, monkeypatch, said):
    for name in ("digits", "celeba64"):
        lay_out(name, tmp_path, monkeypatch)
        load(name, tmp_path)
        raise_version(name, monkeypatch)
    monkeypatch.setattr(prepared.tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError(30, "Read-only")))
    data = load("digits", tmp_path)
    assert (data.origin["source"], type(data.train)) == ({"Digits": 2}, np.ndarray)
    assert "stays in memory" in said()[-1]
    with pytest.raises(InputError, match="cannot be written"):
        load("celeba64", tmp_path)


def test_two_processes_that_meet_a_stale_folder_agree(tmp_path, monkeypatch):
    lay_out("celeba64", tmp_path, monkeypatch)
    data = load("celeba64", tmp_path)
    card = read_card(tmp_path / data.id)
    write_card(tmp_path / data.id, Card({**card.origin, "source": {"CelebA": 9}}, files=card.files))
    code = "import sys; from pathlib import Path; from latent_ot.datasets.base import load; "
    code += "print(load('celeba64', Path(sys.argv[1])))"
    loads = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) for _ in range(3)]
    assert {load.communicate()[0].decode().strip() for load in loads} == {str(data)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["celeba", data.id]


def test_a_reader_never_meets_two_sets_in_one(tmp_path):
    def splits(value):
        return prepared.Splits(*(np.full((count, 8, 8, 1), value, np.uint8) for count in (30, 10)))

    torn, seen, done = [], set(), Event()

    def read():
        while not done.is_set():
            if kept := prepared.kept(tmp_path / "own"):
                values = {int(kept.splits.train[0, 0, 0, 0]), int(kept.splits.test[0, 0, 0, 0]), kept.card.origin["n"]}
                seen.update(values)
                torn.extend([values] if len(values) > 1 else [])

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    kept = None
    for value in range(60):
        kept = prepared.write(tmp_path / "own", splits(value), Card({"n": value}), kept)
        assert kept.splits.train.max() == value
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert len(seen) > 1


def test_a_set_prepared_from_elsewhere_follows_the_files_there(tmp_path, monkeypatch, said):
    lay_out("celeba64", tmp_path / "elsewhere", monkeypatch)
    before = prepare("celeba64", tmp_path / "elsewhere", tmp_path / "data")
    assert str(tmp_path) not in (tmp_path / "data" / before.id / "content.json").read_text()
    said()
    write_faces(tmp_path / "elsewhere" / "celeba" / "img_align_celeba", seed=1)
    assert load(before.id, tmp_path / "data").content_id != before.content_id
    assert said() == [f"data set '{before.id}': its original files changed: made anew"]
    raise_version("celeba64", monkeypatch)
    assert load(before.id, tmp_path / "data").origin["source"] == {"CelebA": 2}
    stale = tmp_path / "data" / before.id
    raise_version("celeba64", monkeypatch, 3)
    with pytest.raises(InputError, match=r"prepared by CelebA 2, today's is CelebA 3; give the original files"):
        prepare("celeba64", stale, tmp_path / "copy")
    assert prepare("celeba64", tmp_path / "elsewhere", tmp_path / "data").origin["source"] == {"CelebA": 3}
    assert prepare("celeba64", stale, tmp_path / "copy").id == before.id
