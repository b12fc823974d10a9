"""CelebA's layouts, partition and crops, on images whose pixels are their coordinates, and on real faces if any."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from originals import PARTS, face, write_celeba, write_faces, write_partition
from PIL import Image
from torchvision.transforms import functional as vision

from latent_ot.datasets import celeba
from latent_ot.datasets.base import available, load, sources
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError
from latent_ot.published import stands_for

DATA = os.environ.get("LATENT_OT_DATA", "")
FACES = sources()["celeba128"].missing("celeba128", Path(DATA)) is None


@pytest.fixture
def faces(tmp_path):
    write_celeba(tmp_path / "celeba")
    return tmp_path


def test_the_official_partition_splits_and_validation_is_left_alone(faces):
    data = load("celeba128", faces)
    assert (data.id, data.shape, data.shareable) == ("celeba128_6", (3, 128, 128), False)
    assert data.evaluator == "imagenet_lite0"
    assert [data.train[:, 0, 0, 2].tolist(), data.test[:, 0, 0, 2].tolist()] == [list(range(6)), [9, 10, 11]]
    assert data.train_labels is None


def test_proggans_crop_is_its_pixels_as_they_are(faces):
    train = load("celeba128", faces).train
    assert np.array_equal(train[0, :, :, 1], np.repeat(np.arange(57, 185)[:, None], 128, axis=1))  # rows around 121
    assert np.array_equal(train[0, :, :, 0], np.repeat(np.arange(25, 153)[None], 128, axis=0))  # columns around 89


@pytest.mark.parametrize(
    ("name", "side"),
    [("celeba64_crop160", 160), ("celeba64_crop140", 140), ("celeba64_crop108", 108), ("celeba64", 108)],
)
def test_a_centred_crop_is_torchvisions(name, side, faces):
    made = load(name, faces).train[0]
    centre = vision.resize(vision.center_crop(Image.fromarray(face(0)), [side, side]), [64, 64])
    assert np.array_equal(made, np.asarray(centre))
    place = (np.arange(64) + 0.5) * side / 64 - 0.5  # a ramp stays a ramp: where each new pixel's middle lay
    inside = slice(2, -2)  # at the edge the filter lacks its outer half
    assert np.abs(made[inside, 5, 1] - (109 - side / 2 + place)[inside]).max() <= 0.51
    assert np.abs(made[5, inside, 0] - (89 - side / 2 + place)[inside]).max() <= 0.51


def test_folder_zip_and_the_layouts_people_have_are_one_set(faces, tmp_path):
    wanted = load("celeba64_crop160", faces).content_id
    packed = tmp_path / "official"
    (packed / "celeba" / "Img").mkdir(parents=True)
    with zipfile.ZipFile(packed / "celeba" / "Img" / "img_align_celeba.zip", "w") as archive:
        for path in (faces / "celeba" / "img_align_celeba").iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
            archive.writestr(f"__MACOSX/img_align_celeba/._{path.name}", b"resource fork")
    write_partition(packed / "celeba" / "Eval" / "list_eval_partition.txt")
    assert load("celeba64_crop160", packed).content_id == wanted
    nested = tmp_path / "nested"
    write_faces(nested / "img_align_celeba" / "img_align_celeba")
    rows = "".join(f"{number:06d}.jpg,{part}\n" for number, part in enumerate(PARTS))
    (nested / "list_eval_partition.csv").write_text(f"image_id,partition\n{rows}")
    assert prepare("celeba64_crop160", nested, tmp_path / "a").content_id == wanted
    assert prepare("celeba64_crop160", faces, tmp_path / "b").content_id == wanted
    assert prepare("celeba64_crop160", faces / "celeba" / "img_align_celeba", tmp_path / "c").content_id == wanted


def test_the_whole_set_has_the_plain_id_and_a_part_says_how_much_it_is(faces, monkeypatch, caplog):
    assert load("celeba64", faces).id == "celeba64_6"
    assert "6 training and 3 test images are here, a part of 'celeba64' (162,770 and 19,962 images)" in caplog.text
    assert load("celeba64", faces, subset=2).id == "celeba64_6_2"
    assert stands_for("celeba64_crop160_6k_500") == "celeba64_crop160"
    monkeypatch.setattr(celeba, "WHOLE", {"train": 6, "test": 3})
    assert load("celeba64", faces).id == "celeba64"
    assert load("celeba64_2", faces).id == "celeba64_2"


def test_images_that_the_partition_does_not_list_are_left_out(faces):
    write_partition(faces / "celeba" / "list_eval_partition.txt", "0002")
    assert load("celeba128", faces).train[:, 0, 0, 2].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", celeba.CROPS)
def test_what_is_missing_is_said_with_where_it_comes_from(name, tmp_path):
    with pytest.raises(
        InputError, match=r"no img_align_celeba.* fetch img_align_celeba\.zip from https.* put it there"
    ):
        load(name, tmp_path)
    (tmp_path / "celeba" / "img_align_celeba").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no list_eval_partition\.txt in .*celeba; fetch .* put it there") as error:
        load(name, tmp_path)
    assert "\n" not in str(error.value)
    assert "list_eval_partition" in available(tmp_path)[name]
    write_partition(tmp_path / "celeba" / "list_eval_partition.txt")
    with pytest.raises(InputError, match="0 training and 0 test images are here"):
        load(name, tmp_path)


@pytest.mark.parametrize("line", ["000003.jpg 7", "000003.jpg", "<html>", "000003.jpg 0 0", "\x00\xff"])
def test_a_corrupt_partition_is_named_with_its_line(line, faces):
    path = faces / "celeba" / "list_eval_partition.txt"
    path.write_text(f"000000.jpg 0\n\n{line}\n")
    with pytest.raises(InputError, match=r"list_eval_partition\.txt' line 3 is .*allowed: a file name and 0, 1 or 2"):
        load("celeba64", faces)


def test_a_damaged_image_and_one_of_another_size_leave_nothing_behind(faces):
    path = faces / "celeba" / "img_align_celeba" / "000010.jpg"
    Image.fromarray(face(0)[:178]).save(path, "PNG")
    with pytest.raises(InputError, match=r"'000010\.jpg' in \S*img_align_celeba is 178x178; allowed: 178x218"):
        load("celeba64", faces)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"'000010\.jpg' in \S* is missing, damaged or no image"):
        load("celeba64", faces)
    assert [p.name for p in faces.iterdir()] == ["celeba"]


@pytest.mark.skipif(
    not FACES, reason="no real faces: LATENT_OT_DATA names no folder with celeba/img_align_celeba in it"
)
@pytest.mark.parametrize("name", celeba.CROPS)
def test_real_faces_look_out_of_the_crop_where_they_should(name):
    """CelebA is aligned on the eyes, at row 111 and columns 69 and 108: there the mean face is darker than below."""
    crop = celeba.CROPS[name]
    made = sources()[name].read(name, Path(DATA))
    assert made.id == name or len(made.train) < celeba.WHOLE["train"]
    mean = made.train[0:200].mean(axis=(0, 3))

    def at(row, column):
        y, x = ((v - c + crop.side / 2) * crop.size / crop.side for v, c in ((row, crop.row), (column, crop.column)))
        return mean[round(y), round(x)]

    for column in (69, 108):
        assert at(111, column) < at(125, column) - 20
