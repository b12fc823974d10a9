import pytest

from latent_ot.report.ranking import YARDSTICK, bench_table
from latent_ot.report.text import render


def names(grid):
    return [row[1].text for row in grid.rows]


def cell(grid, method, key):
    column = [c.key for c in grid.columns].index(key)
    return next(row[column] for row in grid.rows if row[1].data[""] == method)


def test_the_data_row_is_first_then_methods_by_fid_then_what_did_not_end_well(record):
    runs = [
        record("glo", metrics={"fid": 20.0}),
        record("gldo", metrics={"fid": 10.0}),
        record("vae", status="diverged", reason="loss is NaN"),
        record("dcgan", status="declined", reason="takes images only"),
        record("data", metrics={"fid": 0.5}),
    ]
    (grid,) = bench_table(runs)
    assert names(grid) == [YARDSTICK, "gldo", "glo", "dcgan (declined)", "vae (diverged)"]
    assert "vae seed 0: diverged: loss is NaN" in grid.notes
    assert "dcgan seed 0: declined: takes images only" in grid.notes
    assert [cell(grid, m, "fid").best for m in ("data", "gldo", "glo")] == [False, True, False]


def test_the_yardstick_has_its_row_even_before_it_is_run(record):
    (grid,) = bench_table([record()])
    assert names(grid) == [YARDSTICK, "gldo"]
    assert f"{YARDSTICK}: not run under this protocol" in grid.notes


def test_points_are_ranked_by_ot_divergence(record):
    protocol = {"id": "grid25/n1000", "n": 1000}
    runs = [
        record(m, dataset="grid25", protocol=protocol, metrics={"ot_divergence": v, "modes": 25.0})
        for m, v in (("a", 0.2), ("b", 0.1))
    ]
    (grid,) = bench_table(runs)
    assert names(grid)[1:] == ["b", "a"]
    assert [c.key for c in grid.columns][2:4] == ["ot_divergence", "modes"]


def test_two_protocols_or_budgets_make_two_tables(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    grids = bench_table([record(), record("glo", protocol=other), record("vae", budget="short")])
    assert sorted(names(g)[1] for g in grids) == ["gldo", "glo", "vae"]


def test_the_header_states_protocol_budget_width_and_n_and_names_exceptions(record):
    runs = [record("gldo"), record("glo"), record("wgan_gp", width=0.25)]
    title, *header = bench_table(runs)[0].title, *bench_table(runs)[0].header
    assert title == "mnist5k, budget ci"
    assert header[0] == "64,000 images a stage; width 0.5 (0.25 for wgan_gp); seed 0"
    assert "evaluator mnist (sha256 1a2b3c4d), 1,000 samples" in header[1]
    assert "128 held-out images reconstructed in 200 code steps" in header[1]


def test_kid_is_printed_times_a_thousand_and_stored_as_it_is(record):
    (grid,) = bench_table([record(metrics={"fid": 1.0, "kid": 0.01234})])
    assert cell(grid, "gldo", "kid").text == "12.34"
    assert cell(grid, "gldo", "kid").data[""] == 0.01234
    assert "KID ×1000 ↓" in render([grid], "text")


def test_a_missing_metric_is_a_dash_with_its_reason(record):
    runs = [record("dcgan", metrics={"fid": 1.0}, reasons={"psnr": "it has no encoder"})]
    runs += [record("vae", metrics={"fid": 2.0, "psnr": 20.0})]
    (grid,) = bench_table(runs)
    assert cell(grid, "dcgan", "psnr").text == "–"
    assert "dcgan: no PSNR: it has no encoder" in grid.notes


def test_no_figure_is_missed_that_the_kind_of_data_cannot_have(record, raw):
    protocol = {**raw()["protocol"], "id": "ring8/n1000x250", "evaluator": None, "reconstruction": None}
    points = record("iwgan", 0, {"ot_divergence": 0.1}, dataset="ring8", protocol=protocol)
    (grid,) = bench_table([record("dcgan", metrics={"fid": 1.0})])
    (other,) = bench_table([points])
    said, of_points = " ".join(grid.notes), " ".join(other.notes)
    assert "IS" in said
    assert "modes" in of_points
    assert not any(label in said for label in ("modes", "high quality", "OT divergence"))
    assert not any(label in of_points for label in ("FID", "IS", "PSNR", "KID"))


def test_seeds_give_an_interval_and_a_lacking_seed_is_said(record):
    runs = [record("gldo", s, {"fid": 10.0 + s}) for s in range(3)] + [record("glo", 0, {"fid": 30.0})]
    (grid,) = bench_table(runs)
    assert cell(grid, "gldo", "fid").text == "11.000 ± 2.484"
    assert cell(grid, "glo", "fid").text == "30.000 ± –"
    assert "glo: not run at seed 1, 2" in grid.notes


def test_what_ties_with_the_best_by_its_paired_interval_is_ranked_first_with_it(record):
    values = {"steady": [1.0, 2.0, 3.0], "close": [1.2, 2.2, 3.2], "noisy": [1.0, 3.5, 2.5], "far": [9.0, 9.5, 9.9]}
    (grid,) = bench_table([record(m, s, {"fid": v}) for m, vs in values.items() for s, v in enumerate(vs)])
    ranks = {row[1].text: row[0].data[""] for row in grid.rows if row[0].data[""]}
    assert list(ranks.items()) == [("steady", 1), ("noisy", 1), ("close", 3), ("far", 4)]  # close is worse every time


def test_collapse_and_settings_by_hand_are_said(record):
    runs = [record(facts={"collapsed": True}, overrides={"gldo": {"eps": 0.3}})]
    notes = " ".join(bench_table(runs)[0].notes)
    assert "gldo seed 0: the samples have collapsed" in notes
    assert "gldo: set by hand: gldo.eps=0.3" in notes


def test_a_single_run_has_the_interval_of_its_sampling_and_seeds_the_wider_of_both(record):
    one = record("glo", 0, {"fid": 10.0}, intervals={"fid": [9.0, 11.0]})
    (grid,) = bench_table([one])
    assert cell(grid, "glo", "fid").text == "10.0 ± 1.0"
    assert cell(grid, "glo", "fid").data == {"": 10.0, "half": None, "seeds": 1, "sampling": 1.0}
    several = [record("glo", s, {"fid": 10.0 + s}, intervals={"fid": [9.0 + s, 11.0 + s]}) for s in range(3)]
    (grid,) = bench_table(several)
    assert cell(grid, "glo", "fid").text == "11.0 ± 2.5"
    assert cell(grid, "glo", "fid").data["sampling"] == pytest.approx(3**-0.5)
    assert "fid_sampling" in render([grid], "csv")
    (grid,) = bench_table([*several[:2], record("glo", 2, {"fid": 12.0})])
    assert cell(grid, "glo", "fid").text == "11.000 ± 2.484"  # of one seed it is not known
    tied = [one, record("vae", 0, {"fid": 10.9}, intervals={"fid": [10.4, 11.4]}), record("far", 0, {"fid": 12.0})]
    assert [row[0].data[""] for row in bench_table(tied)[0].rows[1:]] == [1, 1, 3]
