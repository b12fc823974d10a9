"""Charts: what they say in words and how they are scaled, and the same bytes every time."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from latent_ot.pictures import charts

STYLES = dict(zip(("a", "b <c>"), charts.looks(), strict=False))
ROWS = {"a": [[(10, 100.0), (1000, 1.0)]], "b <c>": [[(10, 90.0), (1000, 2.0)], [(10, 80.0), (1000, 3.0)]]}
PANEL = ("FID ↓", np.array([[1.0, 10.0], [100.0, np.nan]]), [["1", "10"], ["100", ""]], True)


def words(svg):
    return [node.text.strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text") and node.text]


def heights(svg):
    """Return text -> its height in the drawing, downwards."""
    texts = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text") and node.get("y")]
    return {str(node.text): float(str(node.get("y"))) for node in texts}


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: charts.lines("T", "FID ↓", ROWS, STYLES, ("floor", 0.5)), {"T", "FID ↓", "a", "b <c>", "floor"}),
        (lambda: charts.precision_recall("T", {"a": [[(0.0, 1.0), (1.0, 0.2)]]}, STYLES), {"T", "a", "recall"}),
        (lambda: charts.heat_map("rs", "uv", [PANEL]), {"FID ↓, logarithmic shade", "r", "v", "1", "10", "100"}),
    ],
)
def test_a_chart_names_what_it_shows_and_has_the_same_bytes_every_time(draw, said):
    svg = draw()
    assert said <= set(words(svg))
    assert svg == draw()


def test_labels_stand_in_the_order_of_the_ends_of_their_lines_and_apart():
    rows = {name: [[(1, 5.0), (100, 1.0 + i / 1000)]] for i, name in enumerate("abcde")}
    at = heights(charts.lines("T", "h", rows, dict(zip(rows, charts.looks(), strict=False))))
    order = [at[name] for name in "abcde"]
    assert order == sorted(order, reverse=True)  # upwards, as the values
    assert min(-np.diff(order)) > 9  # pixels, at a size of 9


@pytest.mark.parametrize(("less", "dark"), [(True, (0, 0)), (False, (1, 0))])
def test_the_better_cell_is_the_darker_one(less, dark):
    values = np.array([[1.0, 10.0], [100.0, 50.0]])
    svg = charts.heat_map("rs", "uv", [("m", values, [["c00", "c01"], ["c10", "c11"]], less)]).decode()
    white = re.findall(r"fill: #ffffff[^>]*>(c\d\d)<", svg)
    assert f"c{dark[0]}{dark[1]}" in white
    assert f"c{1 - dark[0]}0" not in white
