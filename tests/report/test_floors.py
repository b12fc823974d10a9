"""What lies past what real data reach is marked, and neither first nor bold, in whatever table it stands."""

import pytest

from latent_ot.discovery import literals
from latent_ot.published import load_table
from latent_ot.quantities import OF_RUNS, QUANTITIES
from latent_ot.report.front import front
from latent_ot.report.grid import grid_tables
from latent_ot.report.groups import by_protocol
from latent_ot.report.page import _everything
from latent_ot.report.ranking import bench_table, further
from latent_ot.report.statistics import Comparison
from latent_ot.report.tables import grids
from latent_ot.report.text import render

BOUNDED = {
    "modes": "as many as the mixture has",
    "psnr": "no reconstruction is too good",
    "ssim": "no reconstruction is too good",
    "interp_smoothness": "1, of even steps",
    "code_repeats": "0",
    "quality_spearman": "1",
    "interp_on_mode": "1",
    "interp_on_mode_across": "1",
    "gap": "0, by duality",
}
"""Quantities with a better direction whose best value no number of samples moves."""


def cells(grid, key):
    column = [c.key for c in grid.columns].index(key)
    return {row[1].data[""]: row[column] for row in grid.rows if row[1].data[""] != "data"}


def bold(grid, key):
    return {method for method, cell in cells(grid, key).items() if cell.best}


def marked(grid, key):
    return {method for method, cell in cells(grid, key).items() if "§" in cell.signs}


def test_every_quantity_with_a_better_direction_has_a_floor_or_a_bound_that_no_sample_size_moves():
    own = {key for _, stated in literals("metrics", "quantities") for key in stated} | {q.key for q in OF_RUNS}
    directed = {key for key in own if QUANTITIES[key].direction != "none"}
    assert {key for key in directed if QUANTITIES[key].floor} == directed - BOUNDED.keys()
    for key in directed - BOUNDED.keys():
        place, _, floor = QUANTITIES[key].floor.rpartition(".")
        assert place in ("data", "")
        assert floor in own
        assert place or QUANTITIES[floor].direction == "none"


FID = {"narrow": 0.05, "near": 0.15, "far": 2.0}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_value_below_the_data_rows_is_never_first_nor_bold(record, seeds):
    runs = [record("data", metrics={"fid": 0.1})]
    runs += [record(m, s, {"fid": v + s / 1000}) for m, v in FID.items() for s in range(seeds)]
    (grid,) = bench_table(runs)
    assert [row[1].text for row in grid.rows][1:] == ["near", "narrow", "far"]  # narrow: 0.05 from there, as near is
    assert [row[0].data[""] for row in grid.rows][1:] == [1, 2, 3]
    assert bold(grid, "fid") == {"near"}
    assert marked(grid, "fid") == {"narrow"}
    assert any(line.startswith("§: past what real data of as many samples reach") for line in grid.remarks)
    assert "past the floor in fid" in render([grid], "csv")
    table = front(by_protocol(runs), {})
    shown = {row[1].data[""]: row[2] for row in table.rows}
    assert [method for method, cell in shown.items() if cell.best] == ["near"]
    assert "§" in shown["narrow"].signs


def test_alone_below_the_floor_is_still_not_first(record):
    (grid,) = bench_table([record("data", metrics={"fid": 0.1}), record("narrow", metrics={"fid": 0.05})])
    assert grid.rows[1][0].data[""] == 2


@pytest.mark.parametrize(("key", "level"), [("is", 9.4), ("precision", 0.8), ("high_quality", 0.989), ("sharpness", 1)])
def test_what_is_better_upwards_is_not_better_above_the_data(record, key, level):
    values = {"past": 1.05 * level, "just": 0.99 * level, "far": 0.5 * level}
    runs = [record(m, metrics={"fid": 1.0, key: v}) for m, v in values.items()]
    group = [record("data", metrics={"fid": 0.1, key: level}), *runs]
    grid = bench_table(group)[0] if QUANTITIES[key].group == "main" else further(group)
    assert bold(grid, key) == {"just"}
    assert marked(grid, key) == {"past"}


def codes(w2, floor):
    return {"fid": 1.0, "code_w2": w2, "code_w2_floor": floor} if floor else {"fid": 1.0, "code_w2": w2}


def test_codes_are_ranked_by_the_excess_over_their_own_representations_floor(record):
    values = {"shrunk": (0.759, 0.815), "close": (0.9, 0.815), "loose": (0.7, 0.5), "old": (0.6, None)}
    runs = [record(m, s, codes(*v)) for m, v in values.items() for s in range(2)]
    grid = further(runs)
    assert bold(grid, "code_w2") == {"close"}
    assert marked(grid, "code_w2") == {"shrunk"}
    assert cells(grid, "code_w2_floor")["shrunk"].text.startswith("0.815")


def test_without_any_floor_of_their_own_codes_are_not_ranked_and_fid_is_as_before(record):
    runs = [record(m, metrics={"fid": f, "code_w2": f}) for m, f in (("a", 1.0), ("b", 2.0))]
    assert bold(further(runs), "code_w2") == set()
    assert bold(bench_table(runs)[0], "fid") == {"a"}


def test_published_tables_and_the_page_for_programs_mark_it_too(record):
    plane = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    values = {"data": 0.07, "ae_ot_trans": 0.06, "ae_ot_gen": 0.09, "kmeans_gauss_k8": 0.1}
    runs = [record(method, metrics={"ot_divergence": value}, **plane) for method, value in values.items()]
    (grid,) = grids(load_table("otgen-table-2d"), "moons", "ci", runs)
    found = {row[0].data[""]: row[1] for row in grid.rows}
    assert {method for method, cell in found.items() if cell.best} == {"ae_ot_gen"}
    assert {method for method, cell in found.items() if "§" in cell.signs} == {"ae_ot_trans"}
    rows = _everything(by_protocol(runs)).flat().set_index("method")
    assert rows.loc["ae_ot_trans", "marks"] == "past the floor in ot_divergence"
    assert rows.loc["ae_ot_gen", "marks"] is None


def test_the_grid_of_pairs_has_its_best_above_the_floor(record):
    def run(pair, value):
        stages = [{"stage": part, "key": "0" * 16, "made_of": {}} for part in (*pair, "reconstruct", "evaluate")]
        return record("+".join(pair), metrics={"fid": value}, stages=stages)

    pairs = {("ae", "gmm"): 0.05, ("ae", "flow"): 0.3, ("vae", "gmm"): 0.2, ("vae", "flow"): 0.4}
    (grid, *_) = grid_tables([record("data", metrics={"fid": 0.1}), *(run(*item) for item in pairs.items())])
    names = [column.key for column in grid.columns]
    found = {(row[0].text, name): cell for row in grid.rows for name, cell in zip(names, row, strict=True)}
    assert [pair for pair, cell in found.items() if cell.best] == [("vae", "gmm")]
    assert "§" in found["ae", "gmm"].signs


def test_the_arithmetic_of_excess_over_a_common_and_over_own_floors():
    rows = {"a": {0: 1.0, 1: 1.2}, "b": {0: 1.3, 1: 1.5}, "c": {0: 0.7, 1: 0.8}}
    common = {name: {0: 0.9, 1: 0.9} for name in rows}
    own = {"a": {0: 0.5, 1: 0.7}, "b": {0: 1.2, 1: 1.4}, "c": {0: 0.9, 1: 0.9}}
    text = "{:.2f}".format
    assert Comparison(rows, "down", text, common).past == Comparison(rows, "down", text, own).past == {"c"}
    assert Comparison(rows, "down", text, common).best == {"a"}
    assert Comparison(rows, "down", text, own).best == {"b"}
    assert Comparison(rows, "down", text, common).ranks == {"a": 1, "c": 2, "b": 3}  # 0.2, 0.15 past, 0.5
    assert Comparison(rows, "down", text, own).ranks == {"b": 1, "c": 2, "a": 3}
    assert Comparison(rows, "up", text, common).past == {"a", "b"}
    assert Comparison(rows, "up", text, common).best == {"c"}
