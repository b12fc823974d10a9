"""Rows that repeat their training images stand in a block of their own, and nothing rests on them silently."""

import csv
import io
import json

import pytest

from latent_ot.claims import Claim
from latent_ot.published import load_table
from latent_ot.report import page
from latent_ot.report.claims import claims_json, render_claims
from latent_ot.report.copies import copies_table
from latent_ot.report.front import front
from latent_ot.report.groups import by_protocol
from latent_ot.report.marks import COPYING
from latent_ot.report.ranking import KNOWN, YARDSTICK, bench_table
from latent_ot.report.tables import grids
from latent_ot.report.text import render, stacked, to_rich
from latent_ot.report.verdicts import judge
from latent_ot.results import add, load, repeating

BETTER = {"id": "c", "paper": "gldo", "source": "", "statement": "GLDO is better", "metric": "fid"}
BETTER |= {"datasets": ["mnist"], "paper_holds": True, "better": ["gldo_p", "glo_p"]}
NOT_ASKED = "whether it repeats training images was not measured"


def said(text):
    return " ".join(text.split())


@pytest.fixture
def row(record):
    """Make a run whose share of copies is known, with its interval."""

    def made(method, fid, copied, seed=0, **changes):
        figures = {"fid": fid, "copied": copied, "near_training": copied / 8, "fid_test": fid + 1}
        ends = {"copied": [copied - 0.03, copied + 0.03]}
        return record(method, seed, figures, intervals=ends, **changes)

    return made


@pytest.fixture
def runs(row):
    """Held-out images, of which 0.40 count as copies, two rows that repeat and three that do not."""
    training = {"metrics": {"fid": 0.1, "copied": 1.0}, "intervals": {"copied": [0.99, 1.01]}}
    shares = {"copier": (0.2, 0.98), "copier_too": (0.3, 0.44)}
    shares |= {"edge": (3.0, 0.43), "far": (9.0, 0.0), "near": (2.0, 0.3)}
    data = row("data", 0.1, 0.40, yardsticks={"training": training})
    return [data, *(row(method, *both) for method, both in shares.items())]


def test_what_lies_past_the_held_out_interval_repeats_and_what_lies_on_its_end_does_not(runs, row):
    assert repeating(runs) == {"copier", "copier_too"}
    mean = [row("edge", 3.0, share, seed) for seed, share in ((1, 0.44), (2, 0.41))]  # with 0.43: not more than 0.43
    assert repeating([*runs, *mean]) == {"copier", "copier_too"}
    assert repeating(runs[1:]) is None
    assert repeating(runs[:1]) is None


def test_they_are_ranked_among_themselves_in_a_block_that_says_so(runs):
    (grid,) = bench_table(runs)
    assert [row[1].text for row in grid.rows] == [YARDSTICK, KNOWN, "near", "edge", "far", "copier", "copier_too"]
    assert [row[0].data[""] for row in grid.rows] == [None, None, 1, 2, 3, 1, 2]
    assert grid.parts == {5: COPYING}
    column = [c.key for c in grid.columns].index("fid")
    assert [row[column].best for row in grid.rows] == [False, False, True, False, False, True, False]
    assert ["◊" in row[column].signs for row in grid.rows] == [False] * 5 + [True] * 2
    (line,) = [line for line in grid.remarks if line.startswith("◊")]
    assert line.startswith(f"◊: {COPYING}: more of its samples than of held-out images")
    assert "(copier seed 0; copier_too seed 0)" in line
    assert not any(NOT_ASKED in note for note in grid.notes)


def test_every_form_shows_the_block(runs):
    grids_ = bench_table(runs)
    text = render(grids_, "text").splitlines()
    place = text.index(COPYING)
    assert text[place - 1] == ""
    assert text[place + 1].split()[:2] == ["1", "copier"]
    assert f"| *{COPYING}* |" in render(grids_, "md")
    latex = render(grids_, "latex")
    assert rf"\textit{{{COPYING}}}" in latex
    assert r"$^\diamond$" in latex
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(render(grids_, "csv")))}
    assert {name: row["method_repeats"] for name, row in rows.items()} == {
        "data": "", KNOWN: "", "near": "False", "edge": "False", "far": "False", "copier": "True", "copier_too": "True",
    }  # fmt: skip
    (table,) = json.loads(render(grids_, "json"))
    assert [row["method"] for row in table["rows"] if row["method_repeats"]] == ["copier", "copier_too"]
    assert COPYING in stacked(grids_[0], str, 60)
    assert to_rich(grids_[0]).row_count == len(grids_[0].rows) + 1


def test_tables_of_runs_that_were_not_asked_rank_as_before_and_say_so_once(record, runs):
    (grid,) = bench_table([record("glo", metrics={"fid": 2.0}), record("vae", metrics={"fid": 1.0})])
    assert [row[1].text for row in grid.rows][1:] == ["vae", "glo"]
    assert grid.parts == {}
    assert "method_repeats" not in render([grid], "csv")
    assert [n for n in grid.notes if NOT_ASKED in n] == [f"every row: {NOT_ASKED}, so that it is ranked as if not"]
    assert not any("no copied" in note for note in grid.notes)
    (mixed,) = bench_table([*runs, record("old", metrics={"fid": 1.0})])
    assert next(row for row in mixed.rows if row[1].text == "old")[0].data[""] == 1
    assert [note for note in mixed.notes if NOT_ASKED in note] == [f"old: {NOT_ASKED}, so that it is ranked as if not"]


def test_the_front_page_and_published_tables_know_them(runs, row):
    table = front(by_protocol(runs), {})
    assert [r[1].text for r in table.rows] == [YARDSTICK, "near", "edge", "far", "copier", "copier_too"]
    assert table.parts == {4: COPYING}
    data, gldo, glo = row("data", 0.1, 0.4), row("gldo_p", 1.0, 0.9), row("glo_p", 2.0, 0.1)
    (published,) = grids(load_table("gldo-table1"), "mnist5k", "ci", [data, gldo, glo])
    signs = {r[0].data[""]: "".join(cell.signs for cell in r[1:]) for r in published.rows}
    assert (signs["gldo_p"], signs["glo_p"]) == ("◊", "")
    assert any(line.startswith(f"◊: {COPYING}") for line in published.remarks)


def test_a_claim_that_rests_on_them_says_so(row):
    runs = [row("data", 0.1, 0.4)]
    runs += [row("gldo_p", 1.0 + s, 0.9, s) for s in range(3)] + [row("glo_p", 5.0 + s, 0.1, s) for s in range(3)]
    text = said(render_claims(runs, "text"))
    assert f"gldo_p seeds 0, 1, 2: {COPYING}" in text
    assert "agrees at small scale◊" in text
    (finding,) = json.loads(claims_json([judge(Claim.build(BETTER, "c"), runs)]))[0]["findings"]
    (stems,) = [stems for mark, stems in finding["marks"].items() if mark.startswith(COPYING)]
    assert stems == [run.stem for run in runs[1:4]]


def test_pages_have_the_block_a_table_of_copies_and_a_column(runs, tmp_path):
    add(tmp_path, runs)
    pages = page.generate(tmp_path, load(tmp_path))
    assert f"*{COPYING}*" in pages["README.md"].decode()
    assert f"*{COPYING}*" in pages["mnist5k.md"].decode()
    assert "### Beside the training images" in pages["mnist5k.md"].decode()
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(pages["mnist5k.csv"].decode()))}
    assert rows["copier"]["method_repeats"] == "True"
    assert rows["near"]["method_repeats"] == "False"
    assert rows[KNOWN]["method_repeats"] == ""
    assert float(rows[KNOWN]["copied@" + runs[0].protocol.id]) == 1.0
    assert "repeats training images" in rows["copier"]["marks"]


def test_the_table_of_copies_has_samples_beside_rebuilt_training_images(runs, row):
    rebuilt = {"rebuilt": {"metrics": {"fid": 0.5, "copied": 0.8}, "intervals": {"copied": [0.75, 0.85]}}}
    grid = copies_table([*runs, row("glo", 4.0, 0.2, yardsticks=rebuilt)])
    flat = grid.flat().set_index("method")
    assert flat.loc["glo", "copied"] == 0.2
    assert flat.loc["glo", "rebuilt_copied"] == 0.8
    assert flat.loc["glo", "rebuilt_copied_sampling"] == pytest.approx(0.05)
    assert flat.loc[KNOWN, "copied"] == 1.0
    assert flat.loc["near", "rebuilt_fid"] is None
    assert copies_table([run.model_copy(update={"metrics": {"fid": 1.0}}) for run in runs]) is None
