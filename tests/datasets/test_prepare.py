"""Originals replaced under an unchanged name, and what ``verify`` finds that sizes and times do not tell."""

import os

import pytest
from originals import FILED, lay_out, lay_out_arrays, raise_version, same, write_faces

from latent_ot.datasets.base import load, sources
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError


def originals(data_dir, key):
    return [path for path in data_dir.rglob("*") if path.is_file() and key not in path.parts]


@pytest.mark.one_quick
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
    lay_out_arrays(tmp_path / "own")
    before = load("own", tmp_path)
    keep_times(tmp_path / "own" / "test" / "images.npy", flip_last)
    assert load("own", tmp_path, verify=True).content_id != before.content_id
    assert said() == ["data set 'own': its prepared images are no longer those that were hashed"]


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
