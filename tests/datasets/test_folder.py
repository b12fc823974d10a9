"""Anyone's images: mixed sizes, modes and damage."""

import io

import numpy as np
import pytest
from PIL import Image

from latent_ot.datasets import folder
from latent_ot.datasets.base import load
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError

RNG = np.random.default_rng(0)


def grey_image(size=(40, 50)):
    return Image.fromarray(RNG.integers(0, 256, size[::-1], dtype=np.uint8))


def colour_image(size=(40, 50)):
    return Image.fromarray(RNG.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "My Pictures"
    (folder / "sub").mkdir(parents=True)
    for i in range(20):
        grey_image((30 + i, 45)).save(folder / f"{i:02d}.png")
    return folder


def test_grey_images_stay_grey_and_one_coloured_makes_all_rgb(pictures, tmp_path):
    data = load(f"folder:{pictures}", tmp_path / "data")
    assert (data.shape, len(data.train), len(data.test)) == ((1, 32, 32), 18, 2)
    assert (data.evaluator, data.shareable, data.train_labels) == ("imagenet_lite0", False, None)
    grey_image().convert("RGB").save(pictures / "sub" / "grey_in_rgb.png")
    assert load(f"folder:{pictures}", tmp_path / "data").shape == (1, 32, 32)
    colour_image().save(pictures / "sub" / "colour.jpg")
    assert load(f"folder:{pictures}", tmp_path / "data").shape == (3, 32, 32)


def test_every_mode_is_read(tmp_path):
    folder = tmp_path / "modes"
    folder.mkdir()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        colour_image().convert(mode).save(folder / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    Image.fromarray(RNG.integers(0, 65536, (40, 40), dtype=np.uint16)).save(folder / "sixteen.png")
    data = load(f"folder:{folder}", tmp_path / "data")
    assert len(data.train) + len(data.test) == 8


def flat(image, folder, size=32):
    """The one colour that a folder of two equal plain images comes out in."""
    folder.mkdir()
    image.save(folder / "a.png")
    image.save(folder / "b.png")
    data = load(f"folder:{folder}@{size}", folder.parent / "data")
    assert np.ptp(data.train[0], axis=(0, 1)).max() == 0
    return data.train[0, 0, 0].tolist()


def test_sixteen_bits_are_scaled_and_transparency_is_laid_on_white(tmp_path):
    assert flat(Image.fromarray(np.full((9, 9), 257 * 100, np.uint16)), tmp_path / "deep") == [100]
    assert flat(Image.new("RGBA", (9, 9), (255, 0, 0, 0)), tmp_path / "clear") == [255]
    assert flat(Image.new("RGBA", (9, 9), (255, 0, 0, 255)), tmp_path / "solid") == [255, 0, 0]


def test_the_centred_square_is_taken(tmp_path):
    wide = np.zeros((64, 192), np.uint8)
    wide[:, 64:128] = 200
    assert flat(Image.fromarray(wide), tmp_path / "wide", size=64) == [200]


def test_unreadable_files_are_counted_and_named_on_every_load(pictures, tmp_path, caplog):
    (pictures / "notes.txt").write_text("not an image")
    (pictures / "empty.png").write_bytes(b"")
    buffer = io.BytesIO()
    colour_image((300, 300)).save(buffer, "JPEG")
    (pictures / "cut.jpg").write_bytes(buffer.getvalue()[:2000])
    (pictures / ".hidden").write_text("left out")
    for _ in range(2):
        caplog.clear()
        data = load(f"folder:{pictures}", tmp_path / "data")
        assert len(data.train) + len(data.test) == 20
        assert "3 files could not be read as images: cut.jpg, empty.png, notes.txt" in caplog.text


def test_the_id_names_the_folder_and_content_and_no_path(pictures, tmp_path):
    data = load(f"folder:{pictures}", tmp_path / "data")
    assert data.id.startswith("folder_my_pictures_")
    assert str(tmp_path) not in data.id
    moved = pictures.rename(tmp_path / "elsewhere")
    moved = moved.rename(tmp_path / "My Pictures")
    assert load(f"folder:{moved}", tmp_path / "data").id == data.id
    assert load(data.id, tmp_path / "data").content_id == data.content_id  # the id alone finds the prepared form
    assert load(f"folder:{moved}@64", tmp_path / "data").id.startswith("folder_my_pictures_64px_")
    (moved / "00.png").unlink()
    assert load(f"folder:{moved}", tmp_path / "data").id != data.id


def test_a_second_load_reads_no_image_and_a_changed_file_makes_another_id(pictures, tmp_path, monkeypatch):
    first = load(f"folder:{pictures}@64", tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(folder.hashlib, "file_digest", None)
        patch.setattr(folder, "read_square", None)
        again = load(f"folder:{pictures}@64", tmp_path / "data")
    assert (again.id, again.content_id) == (first.id, first.content_id)
    grey_image((30, 45)).save(pictures / "00.png")
    other = load(f"folder:{pictures}@64", tmp_path / "data")
    assert other.id != first.id
    assert load(first.id, tmp_path / "data").id == first.id


def test_a_stale_folder_set_is_made_anew_from_where_it_came_or_says_how(pictures, tmp_path, monkeypatch, caplog):
    named = prepare("holiday@64", pictures, tmp_path / "data")
    plain = load(f"folder:{pictures}", tmp_path / "data")
    monkeypatch.setattr(folder.Folder, "version", 2)
    for name, before in {"holiday": named, plain.id: plain}.items():
        after = load(name, tmp_path / "data")
        assert f"data set '{name}': prepared by Folder 1, today's is Folder 2: made anew" in caplog.text
        assert (after.id, after.shape, after.origin["source"]) == (name, before.shape, {"Folder": 2})
        assert after.content_id != before.content_id
    pictures.rename(tmp_path / "moved")
    assert load("holiday", tmp_path / "data").shape == (1, 64, 64)
    monkeypatch.setattr(folder.Folder, "version", 3)
    with pytest.raises(InputError, match=r"today's is Folder 3, and it cannot be made anew: there is no folder .*@64'"):
        load("holiday", tmp_path / "data")
    (tmp_path / "data" / plain.id / "content.json").write_text('{"notes": []}')
    with pytest.raises(InputError, match=r"prepared before versions were kept.*load the images by folder:PATH"):
        load(plain.id, tmp_path / "data")
    assert load(f"folder:{tmp_path}/moved", tmp_path / "data").id != plain.id  # the folder has another name by now


def test_the_split_is_fixed(pictures, tmp_path):
    first, again = (load(f"folder:{pictures}", tmp_path / name) for name in ("one", "two"))
    assert np.array_equal(first.test, again.test)
    part = load(f"folder:{pictures}", tmp_path / "one", subset=10)
    assert (part.id, len(part.train)) == (f"{first.id}_10", 10)


def test_images_can_be_prepared_under_a_name(pictures, tmp_path):
    data = prepare("holiday@64", pictures, tmp_path / "data")
    assert (data.id, data.shape, data.evaluator) == ("holiday", (1, 64, 64), "imagenet_lite0")
    assert prepare("mnist_mine", pictures, tmp_path / "data").evaluator == "mnist"


def test_bad_folders_and_sizes_are_one_line(pictures, tmp_path):
    with pytest.raises(InputError, match=r"size 48 .*nearest: 32"):
        load(f"folder:{pictures}@48", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        load(f"folder:{tmp_path}/nowhere", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 readable images"):
        load(f"folder:{tmp_path}/empty", tmp_path)
    with pytest.raises(InputError, match="plain name"):
        prepare(f"folder:{pictures}", pictures, tmp_path)
