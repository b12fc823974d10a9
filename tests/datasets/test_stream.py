"""Sets that are made while they are written: bounded memory, nothing half-written, and one line for what is wrong."""

import io
import os
import shutil
import time
import zipfile
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as vision

from latent_ot.datasets import base, content, prepared, writer
from latent_ot.datasets.prepare import prepare
from latent_ot.datasets.stream import Folder, Pictures, Stream, Zip, crop, held_back, stream
from latent_ot.errors import InputError, StoreError

SIZE = 8


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def made():
    """A stream of 20 training and 5 test images, with the arrays that it stands for and the log of its reads."""
    pixels = np.random.default_rng(0).integers(0, 256, (25, SIZE, SIZE, 3), dtype=np.uint8)
    files, reads = {f"{i:02d}.png": png(image) for i, image in enumerate(pixels)}, []

    def read(name):
        reads.append(name)
        return files[name]

    names = sorted(files)
    train, test = (Pictures(part, read, lambda image: image, SIZE) for part in (names[:20], names[20:]))
    return Stream("own", train, test, ("said",)), pixels, reads


class Own(base.Source):
    """A source whose files are ``made``'s."""

    def __init__(self, made):
        self.made = made

    version = 1

    def view(self, name):
        return {}

    def read(self, name, data_dir, source=None):
        return self.made


def test_what_is_written_is_what_numpy_would_write(made, tmp_path, monkeypatch):
    wanted, pixels, _ = made
    monkeypatch.setattr(content, "SLICE_BYTES", 3 * pixels[0].nbytes)
    slices = []
    monkeypatch.setattr(Pictures, "__getitem__", lambda self, rows, get=Pictures.__getitem__: slices.append(
        get(self, rows)) or slices[-1])  # fmt: skip
    written = writer.write(tmp_path / "own", wanted).splits
    assert max(map(len, slices)) == 3  # so memory holds three images at once, however many there are
    assert isinstance(written.train, np.memmap)
    assert np.array_equal(written.train, pixels[:20])
    assert written.notes == ("said",)
    np.save(tmp_path / "numpy.npy", pixels[20:])
    assert (tmp_path / "own" / "test" / "images.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    arrays = prepared.Splits(pixels[:20], pixels[20:])
    assert content.content_id("own", wanted, {}) == content.content_id("own", arrays, {})


def test_an_interrupted_writer_leaves_nothing_and_the_next_one_finishes(made, tmp_path):
    wanted, pixels, reads = made

    def read(name, until=12):
        if len(reads) == until:
            raise KeyboardInterrupt
        return wanted.train.read(name)

    cut = wanted._replace(train=Pictures(wanted.train.names, read, wanted.train.view, SIZE))
    with pytest.raises(KeyboardInterrupt):
        writer.write(tmp_path / "own", cut)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(writer.write(tmp_path / "own", wanted).splits.train, pixels[:20])


def test_what_a_killed_writer_left_is_swept_away_and_a_living_one_is_not(made, tmp_path):
    for name in (".own.dead", ".own.alive", ".other.dead"):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / "images.npy").write_bytes(b"half")
    long_ago = time.time() - writer.ABANDONED_SECONDS - 10
    for name in (".own.dead", ".other.dead"):
        for path in (tmp_path / name / "train" / "images.npy", tmp_path / name / "train", tmp_path / name):
            os.utime(path, (long_ago, long_ago))
    writer.write(tmp_path / "own", made[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.dead", ".own.alive", "own"]


def test_a_lack_of_room_is_said_before_anything_is_read(made, tmp_path, monkeypatch):
    wanted, pixels, reads = made
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1000))
    monkeypatch.setattr(base, "sources", lambda: {"own": Own(wanted)})
    room = f"{pixels.nbytes / 1e6:.1f} MB of room where 0.0 MB are free"
    with pytest.raises(StoreError, match=rf"cannot be written \(No space.*\); needed: {room}"):
        base.load("own", tmp_path / "data")
    assert reads == []


def test_progress_is_said_with_its_rate(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writer, "LINE_SECONDS", 0)
    writer.write(tmp_path / "own", made[0])
    assert "own: 25 of 25 images prepared, " in capsys.readouterr().err
    monkeypatch.setattr(writer, "LINE_SECONDS", 60)
    writer.write(tmp_path / "again", made[0])
    assert capsys.readouterr().err == ""  # a small set is not worth a line


def test_the_id_says_how_much_is_there(made, tmp_path, monkeypatch, caplog):
    train, test = made[0].train, made[0].test
    assert stream("own", train, test, True, "20 images")[0::3] == ("own", ())
    part = stream("own", train, test, False, "900 images")
    assert part.id == "own_20"
    assert part.notes == ("20 training and 5 test images are here, a part of 'own' (900 images)",)
    with pytest.raises(InputError, match="20 training and 0 test images are here; allowed: at least one of each"):
        stream("own", train, Pictures([], train.read, train.view, SIZE), False, "900 images")
    monkeypatch.setattr(base, "sources", lambda: {"own": Own(part)})
    for _ in range(2):
        caplog.clear()
        data = base.load("own", tmp_path)
        assert (data.id, base.load("own_20", tmp_path).content_id) == ("own_20", data.content_id)
        assert base.load("own", tmp_path, subset=5).id == "own_20_5"
        assert "a part of 'own'" in caplog.text


def test_prepare_keeps_a_part_under_its_own_name(made, tmp_path, monkeypatch):
    import latent_ot.datasets.prepare as command

    part = stream("own", made[0].train, made[0].test, False, "900 images")
    for module in (base, command):
        monkeypatch.setattr(module, "sources", lambda: {"own": Own(part)})
    source = tmp_path / "files"
    source.mkdir()
    assert prepare("own", source, tmp_path / "data").id == "own_20"
    assert prepare("own", source, tmp_path / "data").id == "own_20"  # the same again: fine
    assert prepare("own", None, tmp_path / "data").id == "own_20"


def test_a_file_that_is_no_image_or_of_a_wrong_size_is_named(tmp_path):
    def view(image):
        if image.size != (8, 8):
            raise ValueError("8x8")
        return image

    files = {"good.png": png(np.zeros((8, 8, 3), np.uint8)), "cut.png": b"\x89PNG", "wide.png": None}
    files["wide.png"] = png(np.zeros((8, 9, 3), np.uint8))
    for name, says in {
        "cut.png": "'cut.png' is missing, damaged or no image",
        "gone.png": "'gone.png' is missing",
        "wide.png": "'wide.png' is 9x8; allowed: 8x8",
    }.items():
        with pytest.raises(InputError, match=says):
            Pictures(["good.png", name], files.__getitem__, view, 8)[0:2]
    assert Pictures(["good.png"], files.__getitem__, view, 8)[0:1].shape == (1, 8, 8, 3)


def test_folders_and_archives_list_images_by_file_name_and_leave_out_the_hidden(tmp_path):
    for name in ("b/1.jpg", "a/2.PNG", "3.webp", ".hidden.jpg", ".cache/4.jpg", "notes.txt", "__MACOSX/5.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "in").as_posix())
    for origin in (Folder(tmp_path / "in"), Zip(tmp_path / "in.zip")):
        assert origin.names == ["b/1.jpg", "a/2.PNG", "3.webp"]
        assert origin.read("a/2.PNG") == b"a/2.PNG"
    (tmp_path / "cut.zip").write_bytes((tmp_path / "in.zip").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cut\.zip' is damaged \(.*\); allowed: a zip archive of images"):
        Zip(tmp_path / "cut.zip")


def test_a_crop_is_torchvisions_and_sees_nothing_outside():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    cut = np.asarray(crop(Image.fromarray(pixels), 7, 3, 30, 12))
    assert np.array_equal(cut, np.asarray(vision.resized_crop(Image.fromarray(pixels), 3, 7, 30, 30, [12, 12])))
    painted = np.zeros_like(pixels)
    painted[3:33, 7:37] = pixels[3:33, 7:37]
    assert np.array_equal(cut, np.asarray(crop(Image.fromarray(painted), 7, 3, 30, 12)))


def test_images_are_held_back_once_and_for_all():
    train, test = held_back(1000, 30, "some split")
    assert sorted([*train, *test]) == list(range(1000))
    assert (len(test), len(held_back(95, 30, "some split")[1])) == (30, 9)
    assert np.array_equal(train, held_back(1000, 30, "some split")[0])
    assert not np.array_equal(test, held_back(1000, 30, "another")[1])
