import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.report.quality import Report, Row, save_pairs
from latent_ot.report.text import to_text

ROWS = (Row("a.png", 0.5, 0.61, True), Row("b.png", 2.0, 0.14, True), Row("c.png", 5.0, 0.007, False))


def report(rows=ROWS, **changes):
    return Report(**{"method": "iwgan", "dataset": "mnist5k", "level": 0.05, "threshold": 3.0, "reference": 4000,
                     "images": rows, **changes})  # fmt: skip


def test_the_table_names_every_image_and_the_outliers():
    text = to_text(report(unreadable=("d.txt",)).grid())
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if ".png " in line] == ["a.png", "b.png", "c.png"]
    assert next(line for line in lines if line.startswith("c.png")).split() == ["c.png", "5.000", "0.007", "no"]
    assert "error <= 3.000, 0.95 of 4,000 training images" in text
    assert "1 outliers: c.png" in text
    assert "unreadable: d.txt" in text
    assert "0 outliers\n" in to_text(report(ROWS[:2]).grid())


def test_a_program_reads_the_same():
    data = report().data()
    assert data["images"][2] == {"file": "c.png", "error": 5.0, "score": 0.007, "inside": False}
    assert data["outliers"] == ["c.png"]
    assert (data["level"], data["threshold"], data["reference"]) == (0.05, 3.0, 4000)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_first_codes_are_drawn_below_the_diagonal_and_the_second_above(tmp_path):
    first, second, other = np.clip(np.random.default_rng(0).standard_normal((3, 60, 2)), -2, 2)
    first[0] = 2.0  # every picture has the same reach
    for name, codes in {"a": (first, second), "b": (first, second), "c": (first, other)}.items():
        save_pairs(tmp_path / f"{name}.png", codes, ("Q(x)", "N(0, I)"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    changed = (pixels(tmp_path / "a.png") != pixels(tmp_path / "c.png")).any(axis=2)
    height, width = changed.shape
    assert changed[: height // 2, width // 2 :].any()
    assert not changed[height // 2 + 20 :, : width // 2 - 5].any()


def test_a_picture_has_at_most_eight_dimensions(tmp_path):
    codes = np.random.default_rng(0).standard_normal((2, 20, 20))
    save_pairs(tmp_path / "wide.png", codes, ("a", "b"))
    save_pairs(tmp_path / "eight.png", codes[:, :, :8], ("a", "b"))
    assert (tmp_path / "wide.png").read_bytes() == (tmp_path / "eight.png").read_bytes()


@pytest.mark.parametrize(
    "codes",
    [
        [np.zeros((9, 3))],
        [np.zeros((9, 3)), np.zeros((9, 4))],
        [np.zeros((9, 3)), np.zeros((0, 3))],
        [np.zeros((9, 1))] * 2,
        [np.full((9, 3), np.nan)] * 2,
    ],
)
def test_codes_that_make_no_picture_are_refused(codes, tmp_path):
    with pytest.raises(InputError, match="allowed"):
        save_pairs(tmp_path / "a.png", codes, ("a", "b"))
    assert not list(tmp_path.iterdir())
