"""Averages and neighbourhoods: no mean over what is left passes for one over all, and equal distances count."""

import csv
import io

import pytest
import torch

from latent_ot.claims import Claim
from latent_ot.metrics import pairwise
from latent_ot.metrics.latent import score_codes
from latent_ot.metrics.prdc import prdc
from latent_ot.published import load_table
from latent_ot.report.beside import drawn_for
from latent_ot.report.claims import claims_grid
from latent_ot.report.curves import prd_figure, training_figure
from latent_ot.report.grid import grid_tables, heat_map
from latent_ot.report.groups import by_protocol
from latent_ot.report.page import generate
from latent_ot.report.ranking import YARDSTICK, bench_table
from latent_ot.report.tables import grids, render_published
from latent_ot.report.text import render
from latent_ot.report.verdicts import judge
from latent_ot.report.works import works_grids


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def open_balls(real, fake, k):
    """The shares by brute force in float64, with what lies on a sphere outside, as they were taken once."""
    real, fake = real.double(), fake.double()
    exact = {"compute_mode": "donot_use_mm_for_euclid_dist"}
    radius, fake_radius = (torch.cdist(x, x, **exact).sort(dim=1).values[:, k] for x in (real, fake))
    between = torch.cdist(real, fake, **exact)
    inside = between < radius[:, None]
    recalled = (between < fake_radius).any(1)
    shares = [inside.any(0), recalled, inside.sum(0), inside.any(1)]
    precision, recall, held, coverage = (float(x.double().mean()) for x in shares)
    return {"precision": precision, "recall": recall, "density": held / k, "coverage": coverage}


@pytest.mark.parametrize(("n", "width"), [(300, 2), (300, 8), (250, 128), (200, 512), (150, 2048)])
def test_without_ties_a_closed_ball_holds_what_an_open_one_does(n, width):
    real, fake = 5 + normal(n, width), 5.1 + 0.9 * normal(n - 20, width, 1)
    assert prdc(real, fake) == pytest.approx(open_balls(real, fake, 5), abs=1e-12)


@pytest.mark.one_quick
@pytest.mark.parametrize("tile", [1024, 37])
@pytest.mark.parametrize("copies", [1, 2, 6, 7, 40])
@pytest.mark.parametrize("width", [2, 128, 600, 2048])
def test_a_generator_that_draws_exactly_from_the_data_is_precise_and_reaches_all(width, copies, tile, monkeypatch):
    monkeypatch.setattr(pairwise, "TILE", tile)
    real = (30 + normal(240 // copies, width)).repeat(copies, 1)
    fake = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(1))]
    found = prdc(real, fake)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    assert found["density"] >= 1


def test_samples_on_spheres_of_a_lattice_are_inside():
    line = torch.arange(12.0)[:, None]
    found = prdc(line, line + 1, k=1)  # all radii are 1, and 12 is as far from 11, the last of the line
    assert found == {"precision": 1, "recall": 1, "density": pytest.approx((10 * 3 + 2 + 1) / 12), "coverage": 1}


def test_what_lies_off_every_sphere_stays_outside_though_data_repeat():
    real = normal(40, 64).repeat(8, 1)
    assert set(prdc(real, real + 1e-3).values()) == {0.0}


def test_codes_drawn_from_held_out_ones_that_repeat_are_precise():
    held_out = normal(20, 8).repeat(10, 1)
    found = score_codes(held_out.flip(0), held_out, normal(50, 8, 1))
    assert (found["code_precision"], found["code_recall"]) == (1, 1)


LOST = {
    "diverged": {"status": "diverged", "reason": "loss is NaN", "metrics": {}},
    "failed": {"status": "failed", "reason": "the worker was killed", "metrics": {}},
    "not measurable": {"metrics": {"psnr": 20.0}, "reasons": {"fid": "its samples are all alike"}},
}


@pytest.fixture(params=LOST)
def left(record, request):
    """``gldo_p`` with the best FIDs, at one seed of three, beside ``glo_p`` and ``vae`` at all three."""
    runs = [record(method, s, {"fid": fid + s}) for method, fid in (("glo_p", 20), ("vae", 30)) for s in range(3)]
    runs += [record("gldo_p", 0, {"fid": 1.0}), *(record("gldo_p", s, **LOST[request.param]) for s in (1, 2))]
    return [*runs, record("data", 0, {"fid": 0.1})], f"{request.param} at seeds 1, 2"


def published(runs):
    return grids(load_table("gldo-table1"), "mnist5k", "ci", runs)


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("form", ["text", "md", "latex", "csv", "json"])
@pytest.mark.parametrize("made", [bench_table, published], ids=["bench", "published"])
def test_every_form_says_of_how_many_seeds_a_mean_is_and_sets_no_mark_on_it(left, form, made):
    runs, how = left
    said = render(made(runs), form)
    if form == "csv":
        rows = {row["method"]: row for row in csv.DictReader(io.StringIO(said))}
        (count,) = (row[key] for row in [rows["gldo_p"]] for key in row if key.endswith("_asked"))
        assert (count, rows["gldo_p"]["marks"]) == ("3", "1 of 3 seeds")
        assert rows["glo_p"]["marks"] == ""
        return
    assert f"(1 of 3): the mean of the seeds that have the figure, hence never best or first; {how}" in flat(said)
    assert "1.000 ± – (1 of 3)" in said or r"1.000 $\pm$ -- (1 of 3)" in said or form == "json"
    bold = {"text": "1.000 ± –*", "md": "**1.000 ± –**", "latex": r"\textbf{1.000"}
    assert bold.get(form, "no bold") not in said


def test_the_best_of_those_that_lost_no_seed_is_first(left):
    (table,) = bench_table(left[0])
    assert [(row[0].text, row[1].text, row[2].best) for row in table.rows] == [
        ("", YARDSTICK, False), ("1", "glo_p", True), ("2", "gldo_p", False), ("3", "vae", False),
    ]  # fmt: skip


def test_a_row_that_lost_seeds_is_not_first_even_alone(record):
    runs = [record("gan", 0, {"fid": 1.0}), record("gan", 1, **LOST["diverged"])]
    assert [row[0].text for row in bench_table(runs)[0].rows] == ["", "2"]


def test_the_front_page_and_the_csv_of_everything_say_so(left, board):
    runs, _ = left
    pages = generate(board(*runs), runs)
    (line,) = (line for line in pages["README.md"].decode().splitlines() if "| gldo_p |" in line)
    assert line.startswith("| 2 | gldo_p | 1.000 ± – (1 of 3) |") or "| 1.000 (1 of 3) |" in line
    assert "**1.000" not in pages["README.md"].decode()
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(pages["mnist5k.csv"].decode()))}
    fid = f"fid@{runs[0].protocol.id}"
    assert (rows["gldo_p"][f"{fid}_seeds"], rows["gldo_p"][f"{fid}_asked"]) == ("1", "3")
    if runs[-2].status != "done":
        assert "seed 2" in rows["gldo_p"]["reason"]


def pair(record, name, seed, **changes):
    stages = [{"stage": part, "key": f"{seed:016x}", "made_of": {"stage": {part: 1}}} for part in name.split("+")]
    return record(name, seed, stages=stages, **changes)


def test_the_grid_says_so_and_its_best_pair_lost_no_seed(record):
    names = [f"{r}+{s}" for r in ("ae", "vae") for s in ("flow", "gmm")]
    runs = [pair(record, name, s, metrics={"fid": 5.0 + i}) for i, name in enumerate(names) for s in range(2)]
    runs[1] = pair(record, names[0], 1, **LOST["diverged"])
    table = next(iter(grid_tables(runs)))
    cells = {
        (row[0].text, column.key): cell for row in table.rows for column, cell in zip(table.columns, row, strict=True)
    }
    assert (cells["ae", "flow"].text + cells["ae", "flow"].signs, cells["ae", "flow"].best) == ("5.000 (1 of 2)", False)
    assert cells["ae", "gmm"].best
    assert "(1 of 2)" in heat_map(runs).decode()


def test_a_curve_of_survivors_says_so(record):
    falling = {"curves": {"fid": [[n, 1000 * 100 / n] for n in (4000, 8000, 16000, 32000, 64000)]}}
    runs = [record(m, s, {"fid": 9.0}, **falling) for m in ("gldo_p", "glo_p") for s in range(2)]
    runs[1] = record("gldo_p", 1, **LOST["diverged"])
    assert "(1 of 2)" in render_published("gldo-fig4", "mnist5k", "ci", runs)


CLAIM = {"id": "c", "paper": "gldo", "source": "", "statement": "GLDO is better", "metric": "fid"}
CLAIM |= {"datasets": ["mnist"], "paper_holds": True, "better": ["gldo_p", "glo_p"]}


@pytest.mark.parametrize("method", ["gldo_p", "glo_p"])
@pytest.mark.parametrize("better", [True, False])
def test_no_claim_is_decided_by_survivors(record, method, better):
    runs = [
        record(m, s, {"fid": f + s / 10})
        for m, f in (("gldo_p", 10 if better else 30), ("glo_p", 20))
        for s in range(4)
    ]
    told = judge(Claim.build(CLAIM, "c"), runs)
    assert told.verdict == ("agrees at small scale" if better else "disagrees at small scale")
    runs[[r.method for r in runs].index(method)] = record(method, 0, **LOST["diverged"])
    told = judge(Claim.build(CLAIM, "c"), runs)
    (finding,) = told.findings
    assert (told.verdict, finding.lost) == ("inconclusive", {0})
    text = flat(render([claims_grid([told])], "text"))
    assert "3 of 4 seeds" in text
    assert f"{method} at seed 0 (diverged: loss is NaN)" in text


def test_a_method_that_diverged_at_a_seed_does_not_work_at_all_seeds(record):
    shown = {"classes": 10.0, "confidence": 0.97, "fid": 1.0}
    runs = [record("data", 0, shown), record("gan", 0, shown), record("gan", 1, **LOST["diverged"])]
    (table,) = works_grids(by_protocol(runs), lambda run: {})
    (row,) = table.rows
    assert row[1].text == "at 1 of 2 seeds"
    assert "diverged at seed 1: loss is NaN" in [cell.text for cell in row]


def test_figures_of_survivors_say_so(record):
    prd = {"precision": [0.0, 0.9, 0.9], "recall": [0.9, 0.9, 0.0]}
    falling = {"curves": {"fid": [[n, 1e5 / n] for n in (4000, 8000, 16000, 32000, 64000)], "prd": prd}}
    runs = [record(m, s, {"fid": 9.0}, **falling) for m in ("gldo_p", "glo_p") for s in range(3)]
    runs[1] = record("gldo_p", 1, **LOST["diverged"])
    (place,) = drawn_for(load_table("gldo-fig4"), "mnist5k", "ci", runs)
    for drawn in (training_figure(runs), prd_figure(runs), place.draw()):
        assert b"(2 of 3)" in drawn
    whole = [run for run in runs if run.seed != 1]
    assert b" of " not in training_figure(whole) + prd_figure(whole)
