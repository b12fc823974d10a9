import csv
import io
import json

import pytest

from latent_ot.errors import InputError
from latent_ot.report.text import Cell, Column, Grid, render, show


@pytest.fixture
def grid():
    number = Cell("1.50 ± 0.10", {"": 1.5, "half": 0.1}, best=True, before="2.0 | ")
    rows = ((Cell.of("a_b"), number), (Cell.of("c%"), Cell("–", {"": None, "half": None}, before="9 | ")))
    return Grid("Title", (Column("m", "method", right=False), Column("f", "FID ↓")), rows, ("head",), ("a note",))


def test_text_is_aligned_and_marks_the_best(grid):
    lines = render([grid], "text").splitlines()
    assert lines[:2] == ["Title", "head"]
    assert lines[5] == "a_b     2.0 | 1.50 ± 0.10*"
    assert lines[6] == "c%                  9 | –"
    assert lines[-2:] == ["* best, or tied with it", "a note"]


def test_markdown_escapes_bars_and_bolds_the_best(grid):
    text = render([grid], "md")
    assert text.startswith("## Title\n\nhead\n\n| method | FID ↓ |\n|:---|---:|\n")
    assert r"| a_b | 2.0 \| **1.50 ± 0.10** |" in text


def test_csv_has_full_numbers_and_no_prose(grid):
    rows = list(csv.DictReader(io.StringIO(render([grid], "csv"))))
    assert rows == [{"m": "a_b", "f": "1.5", "f_half": "0.1"}, {"m": "c%", "f": "", "f_half": ""}]


def test_json_reads_back(grid):
    (table,) = json.loads(render([grid], "json"))
    assert table["rows"][0] == {"m": "a_b", "f": 1.5, "f_half": 0.1}
    assert table["notes"] == ["a note"]


def test_latex_escapes_its_special_characters(grid):
    text = render([grid], "latex")
    assert r"a\_b & 2.0 $|$ \textbf{1.50 $\pm$ 0.10} \\" in text
    assert r"c\% & 9 $|$ -- \\" in text
    assert r"FID $\downarrow$" in text
    assert text.count("{") == text.count("}")


def test_an_unknown_format_is_refused_with_the_nearest(grid):
    with pytest.raises(InputError, match=r"format 'markdow' is unknown; allowed: csv, json, latex, md, text"):
        render([grid], "markdow")


def test_a_terminal_gets_a_drawn_table_and_a_pipe_or_a_cell_plain_text(grid, monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    pipe, terminal = io.StringIO(), Terminal()
    show([grid], pipe)
    show([grid], terminal)
    assert pipe.getvalue() == render([grid], "text")
    assert "┃" in terminal.getvalue()
    assert "1.50 ± 0.10" in terminal.getvalue()
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # that of a notebook's cell
    show([grid], cell := Terminal())
    assert cell.getvalue() == pipe.getvalue()
