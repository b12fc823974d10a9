"""CelebA-HQ from a folder: order, held-out images, shrinking and what is refused."""

import numpy as np
import pytest
from originals import write_squares
from PIL import Image

from latent_ot.datasets import celeba_hq
from latent_ot.datasets.base import load
from latent_ot.datasets.prepare import prepare
from latent_ot.errors import InputError


def numbers(data):
    return data.train[:, 0, 0, 0].tolist(), data.test[:, 0, 0, 0].tolist()


def test_a_tenth_is_held_out_and_padded_or_not_the_files_are_one_set(tmp_path, monkeypatch):
    write_squares(tmp_path / "a" / "celeba_hq", [f"{i:05d}.png" for i in range(20)])
    write_squares(tmp_path / "b" / "CelebAMask-HQ" / "CelebA-HQ-img", [f"{i}.png" for i in range(20)])
    data = load("celeba_hq256", tmp_path / "a")
    assert (data.id, data.shape, data.evaluator, data.shareable) == (
        "celeba_hq256_18", (3, 256, 256), "imagenet_lite0", False,
    )  # fmt: skip
    train, test = numbers(data)
    assert sorted(train + test) == list(range(20))
    assert train == sorted(train)
    assert load("celeba_hq256", tmp_path / "b").content_id == data.content_id
    assert prepare("celeba_hq256", tmp_path / "a" / "celeba_hq", tmp_path / "c").content_id == data.content_id
    monkeypatch.setattr(celeba_hq, "WHOLE", 20)
    assert load("celeba_hq256", tmp_path / "a").id == "celeba_hq256"


def test_a_large_image_becomes_the_mean_of_its_squares():
    large = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    mean = large.reshape(256, 4, 256, 4, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(np.asarray(celeba_hq.shrink(Image.fromarray(large))) - mean).max() <= 0.5
    small = Image.fromarray(large[:256, :256])
    assert np.array_equal(np.asarray(celeba_hq.shrink(small)), large[:256, :256])


@pytest.mark.parametrize("size", [(256, 300), (300, 300), (128, 128)])
def test_other_sizes_are_refused(size, tmp_path):
    write_squares(tmp_path / "celeba_hq", [f"{i}.png" for i in range(10)])
    Image.new("RGB", size).save(tmp_path / "celeba_hq" / "5.png")
    with pytest.raises(
        InputError, match=rf"'5\.png' in .* is {size[0]}x{size[1]}; allowed: squares of a multiple of 256"
    ):
        load("celeba_hq256", tmp_path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(
        InputError, match=r"no folder celeba_hq in .*; put the 30,000 images of CelebA-HQ there"
    ) as error:
        load("celeba_hq256", tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "celeba_hq").mkdir()
    with pytest.raises(InputError, match="0 training and 0 test images are here"):
        load("celeba_hq256", tmp_path)
