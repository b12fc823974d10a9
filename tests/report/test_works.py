"""The page that says which methods work at all."""

import pytest

from latent_ot import leaderboard
from latent_ot.report import page
from latent_ot.report.groups import by_protocol
from latent_ot.report.works import asked_of, tally, works_grids
from latent_ot.results import add

SHORT = {"budget": "short", "images_budget": 640000}
POINTS = {"dataset": "grid25", "data": {"shape": [2], "train": 8000}}
REAL = {"classes": 10.0, "confidence": 0.97}


def digits(classes, confidence):
    return {"fid": 5.0, "classes": float(classes), "confidence": confidence}


def shown(records, links=lambda run: {}):
    (grid,) = works_grids(by_protocol(records), links)
    heads = [column.head for column in grid.columns]
    return grid, {row[0].text: dict(zip(heads, (cell.text for cell in row), strict=True)) for row in grid.rows}


@pytest.mark.parametrize(
    ("classes", "confidence", "works", "lacks"),
    [
        (9, 0.8, "yes", "–"),
        (8, 0.95, "no", "classes of 3 % 8.0, asked 9.0"),
        (10, 0.79, "no", "confidence 0.790, asked 0.800"),
        (1, 0.3, "no", "classes of 3 % 1.0, asked 9.0; confidence 0.300, asked 0.800"),
    ],
)
def test_nine_classes_of_ten_and_a_confidence_of_four_fifths_are_asked(record, classes, confidence, works, lacks):
    _, rows = shown([record("data", 0, REAL), record("gan", 0, digits(classes, confidence))])
    assert (rows["gan"]["works"], rows["gan"]["what it lacks"]) == (works, lacks)


@pytest.mark.parametrize(("modes", "on", "works"), [(20, 0.5, "yes"), (19, 0.9, "no"), (25, 0.49, "no")])
def test_of_points_twenty_modes_of_twenty_five_and_half_of_the_points_are_asked(record, raw, modes, on, works):
    protocol = {**raw()["protocol"], "id": "grid25/n1000x250", "evaluator": None, "checksum": None, "repeats": 250}
    here = {**POINTS, "protocol": {**protocol, "reconstruction": None}}
    real = record("data", 0, {"ot_divergence": 0.1, "modes": 25.0, "high_quality": 0.98}, **here)
    own = record("iwgan", 0, {"ot_divergence": 0.3, "modes": float(modes), "high_quality": on}, **here)
    _, rows = shown([real, own])
    assert rows["iwgan"]["works"] == works


def test_the_longest_training_is_asked_at_all_its_seeds_and_where_else_it_works_is_said(record):
    runs = [record("data", 0, REAL), record("gan", 0, digits(10, 0.9)), record("gan", 0, digits(10, 0.9), **SHORT)]
    runs += [record("gan", 1, digits(4, 0.9), **SHORT), record("vae", 0, digits(10, 0.9))]
    runs += [record("vae", 0, digits(10, 0.95), **SHORT), record("wgan", 0, digits(3, 0.4))]
    grid, rows = shown(runs)
    assert {name: row["works"] for name, row in rows.items()} == {"gan": "at 1 of 2 seeds", "vae": "yes", "wgan": "no"}
    assert {name: row["works at"] for name, row in rows.items()} == {"gan": "ci", "vae": "ci, short", "wgan": "–"}
    assert rows["gan"]["budget"] == "short, seeds 0, 1"
    assert tally(grid) == "1 of 3 work on mnist5k"


def test_what_would_be_needed_is_said_of_what_does_not_work(record):
    fid = {
        "generator_updates": 1000,
        "curves": {"fid": [[32000, 50.0], [64000, 30.0]]},
        "data": {"shape": [1, 32, 32], "train": 4000},
    }
    collapsed = record("gan", 0, digits(1, 0.9), facts={"collapsed": True}, data=fid["data"], generator_updates=9)
    _, rows = shown([record("data", 0, REAL), record("wgan", 0, digits(3, 0.4), **fid), collapsed])
    longer = "its images are 0.08 of those of the budget paper"
    assert rows["wgan"]["what it lacks"].endswith(f"; FID was still falling; {longer}")
    solved = record("pca", 0, digits(2, 0.8), data=fid["data"])  # no longer training helps it
    assert not shown([record("data", 0, REAL), solved])[1]["pca"]["what it lacks"].endswith("paper")
    assert rows["gan"]["what it lacks"].endswith(f"a tenth as much as the data; {longer}")


def test_outdated_runs_do_not_count_where_there_are_others(record):
    old = record("gan", 0, digits(1, 0.2), **SHORT).model_copy(update={"outdated": ("Gan is version 2 now, was 1",)})
    new = record("gan", 0, digits(10, 0.9))
    assert shown([record("data", 0, REAL), old, new])[1]["gan"]["works"] == "yes"
    alone = shown([record("data", 0, REAL), old])
    assert alone[1]["gan"]["works"] == "no"
    assert "Gan is version 2 now" in " ".join(alone[0].remarks)


def test_nothing_is_asked_where_real_data_fail_or_it_was_not_measured(record):
    assert asked_of([record("data", 0, {"classes": 10.0, "confidence": 0.5})]) is None
    assert asked_of([record("data", 0, {"fid": 0.1})]) is None
    assert works_grids(by_protocol([record("data", 0, REAL), record("gan", 0, {"fid": 3.0})]), lambda run: {}) == []
    assert works_grids(by_protocol([record("gan", 0, digits(10, 0.9))]), lambda run: {}) == []


def test_what_was_not_run_is_named_and_pairs_without_a_name_are_not_asked(record):
    runs = [record("data", 0, REAL), record("gan", 0, digits(10, 0.9)), record("ae+gmm", 0, digits(10, 0.9))]
    grid, rows = shown([*runs, record("vae", 0, {"fid": 3.0})])
    assert set(rows) == {"gan"}
    (note,) = grid.notes
    assert ", vae," in note
    assert " gan," not in note
    assert "points" not in note


def test_the_page_shows_the_picture_and_the_command_and_the_front_page_links_it(record, tmp_path):
    run = record("gan", 0, digits(10, 0.9))
    add(tmp_path, [record("data", 0, REAL), run])
    (tmp_path / "results" / f"{run.stem}.png").write_bytes(b"picture")
    pages = page.generate(tmp_path, [record("data", 0, REAL), run])
    text = pages["works.md"].decode()
    assert f"[samples](results/{run.stem}.png)" in text
    assert "`latent-ot bench --methods gan`" in text
    assert "- [Does every method work?](works.md) 1 of 1 work on mnist5k\n" in pages["README.md"].decode()
    leaderboard.write(tmp_path, [record("data", 0, REAL), run])
    assert leaderboard.stale(tmp_path, [record("data", 0, REAL), run]) == []


def test_what_several_seeds_lack_is_said_once_from_the_least_on(record):
    at = [
        {"classes": 8.0, "confidence": 0.75},
        {"classes": 10.0, "confidence": 0.7},
        {"classes": 10.0, "confidence": 0.9},
    ]
    runs = [record("gan", seed, metrics) for seed, metrics in enumerate(at)]
    row = shown([record("data", 0, REAL), *runs])[1]["gan"]
    assert row["works"] == "at 1 of 3 seeds"
    assert row["what it lacks"].split("; ")[:2] == [
        "classes of 3 % 8.0, asked 9.0",
        "confidence 0.700 to 0.750, asked 0.800",
    ]
