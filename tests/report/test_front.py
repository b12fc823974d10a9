"""The front page: one table a data set, budgets side by side, published numbers in a column of their own."""

import pytest

from latent_ot.report.front import front
from latent_ot.report.groups import by_protocol
from latent_ot.report.text import render

SHORT = {"budget": "short", "images_budget": 128000, "width": 1.0}


@pytest.fixture
def groups(record):
    runs = [record("gldo", 0, {"fid": 10.0}), record("glo", 0, {"fid": 20.0}), record("vae", 0, {"fid": 30.0})]
    runs += [record("data", 0, {"fid": 0.1}), record("gldo", 0, {"fid": 5.0}, **SHORT)]
    runs += [record("glo", 0, {}, status="diverged", reason="loss is NaN", **SHORT)]
    runs += [record("wae_mmd", 0, {"fid": 4.0}, **SHORT)]
    return by_protocol([*runs, record("gldo[eps=3.0]", 0, {"fid": 40.0}, overrides={"gldo": {"eps": 3.0}})])


def cells(grid):
    return {row[1].text: [cell.text for cell in row] for row in grid.rows}


def test_budgets_stand_side_by_side_and_the_fullest_ranks(groups):
    grid = front(groups, {})
    heads = ["#", "method", "FID ↓, short", "FID ↓, ci", "published FID"]
    assert [c.head for c in grid.columns] == [*heads, "generator updates, short", "generator updates, ci"]
    shown = cells(grid)
    assert [row[:4] for row in shown.values()] == [
        ["", "data (held-out)", "0.100", "0.100"],
        ["1", "gldo", "5.000", "10.000"],
        ["2", "glo", "diverged", "20.000"],
        ["3", "vae", "–", "30.000"],
        ["4", "gldo[eps=3.0]", "–", "40.000"],
        ["", "wae_mmd", "4.000", "–"],
    ]
    assert [row[2].best for row in grid.rows] == [False] * 5 + [True]
    assert "Budget ci, which ranks: 64,000 images a stage; width 0.5; seed 0" in grid.header
    assert "Budget short: 128,000 images a stage; width 1; seed 0" in grid.header
    assert grid.header[2].startswith("protocol mnist5k/mnist-1a2b3c4d/n1000/rec128x200: evaluator mnist")


def test_published_numbers_have_their_own_column_with_their_tables_and_settings(groups):
    group = [key for key in groups if key.budget == "ci"]
    run = groups[group[0]][0]
    groups[group[0]].append(run.model_copy(update={"method": "gldo_p"}))
    grid = front(groups, {})
    shown = cells(grid)
    gldo = "23.1 (gldo-mix-inline, gldo-table5, gldo-table6), 23.2 ± 0.2 (gldo-table1)"
    assert shown["gldo_p"][4] == gldo
    assert shown["gldo"][4] == "–"  # the paper's is trained by another loss
    assert shown["vae"][4] == "28.5 ± 0.6 (gldo-table1)"
    assert shown["gldo[eps=3.0]"][4] == "–"  # a number of the paper is of the settings that its table states
    assert "Published: of mnist, each number under its paper's protocol, none of which is ours" in grid.header


def test_two_protocols_never_share_a_column(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000", "evaluator": "inception"}
    runs = [record("gldo"), record("glo"), record("vae", metrics={"fid": 90.0}, protocol=other)]
    grid = front(by_protocol(runs), {})
    heads = [c.head for c in grid.columns[2:4]]
    assert heads == ["FID ↓, ci [a]", "FID ↓, ci [b]"]
    assert {tuple(row[2:4]) for row in cells(grid).values()} == {("–", "–"), ("–", "10.000"), ("90.000", "–")}
    assert sum(line.startswith("protocol ") and line.endswith(("[a]", "[b]")) for line in grid.header) == 2


def test_a_method_links_the_picture_of_its_samples(groups):
    grid = front(groups, {"gldo": "results/a.samples.png"})
    assert cells(grid)["gldo"][-1] == "[samples](results/a.samples.png)"
    assert "| [samples](results/a.samples.png) |" in render([grid], "md")


def test_a_data_set_that_stands_for_nothing_has_no_published_column(record):
    points = {"dataset": "ring8", "protocol": {"id": "ring8/n1000x250", "n": 1000, "repeats": 250}}
    grid = front(by_protocol([record("ae_ot_sd", 0, {"ot_divergence": 0.1}, **points)]), {})
    assert [c.key for c in grid.columns] == [
        "rank",
        "method",
        "ot_divergence@ring8/n1000x250@ci",
        "generator_updates@ci",
    ]
