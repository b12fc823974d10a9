import numpy as np
import pytest
from PIL import Image

from latent_ot.errors import InputError
from latent_ot.pictures.lines import BETWEEN, ENDS, STARTS, Lines, draw_lines

POINTS = np.random.default_rng(0).uniform(-1, 1, (40, 2))


def has(path, colour):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return bool((abs(pixels - wanted).max(axis=2) < 12).any())


def test_equal_panels_give_equal_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_lines(tmp_path / name, Lines("one", POINTS, POINTS + 1), Lines("two", POINTS, -POINTS))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]


def test_points_ends_and_lines_are_seen(tmp_path):
    draw_lines(tmp_path / "a.png", Lines("one", POINTS, POINTS + 3))
    assert all(has(tmp_path / "a.png", colour) for colour in (STARTS, ENDS, BETWEEN))


def test_points_that_stay_have_no_lines(tmp_path):
    draw_lines(tmp_path / "a.png", Lines("one", POINTS, POINTS))
    assert not has(tmp_path / "a.png", BETWEEN)


def test_panels_stand_side_by_side(tmp_path):
    panel = Lines("one", POINTS, -POINTS)
    draw_lines(tmp_path / "a.png", panel)
    draw_lines(tmp_path / "b.png", panel, panel)
    assert Image.open(tmp_path / "b.png").width > 1.7 * Image.open(tmp_path / "a.png").width


def test_panels_have_common_axes(tmp_path):
    panel, wide = Lines("one", POINTS, -POINTS), Lines("two", 10 * POINTS, -10 * POINTS)
    left = []
    for name, other in (("a.png", panel), ("b.png", wide)):
        draw_lines(tmp_path / name, panel, other)
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        left.append((pixels.max(axis=2) - pixels.min(axis=2) > 60)[:, : pixels.shape[1] // 2].sum())
    assert left[1] < 0.5 * left[0]


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"panel 'two': starts and ends of shapes \(40, 2\) and \(39, 2\)"):
        draw_lines(tmp_path / "a.png", Lines("one", POINTS, POINTS), Lines("two", POINTS, POINTS[1:]))
    with pytest.raises(InputError, match=r"\(4, 3\)"):
        draw_lines(tmp_path / "a.png", Lines("one", np.zeros((4, 3)), np.zeros((4, 3))))
    with pytest.raises(InputError, match="0 panels"):
        draw_lines(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
