import json

import pytest

from latent_ot.claims import Claim
from latent_ot.published import load_table
from latent_ot.report.claims import claims_json
from latent_ot.report.front import front
from latent_ot.report.grid import grid_tables
from latent_ot.report.groups import by_protocol
from latent_ot.report.marks import marks
from latent_ot.report.page import _everything
from latent_ot.report.ranking import bench_table, further
from latent_ot.report.tables import grids, render_published
from latent_ot.report.text import render
from latent_ot.report.verdicts import judge


def curve(*values):
    shares = (1 / 8, 1 / 4, 1 / 2, 1.0)
    return {"fid": [[64000 * share, value] for share, value in zip(shares, values, strict=True)]}


def names(record):
    return [mark.name for mark in marks(record)]


def test_a_training_whose_fid_still_fell_by_more_than_a_fifth_was_cut_off(record):
    assert names(record(curves=curve(40, 20, 10, 7.9))) == ["cut off"]
    assert names(record(curves=curve(40, 20, 10, 8.1))) == []
    assert names(record()) == []  # nothing followed it


def test_a_training_that_ended_more_than_a_fifth_above_an_earlier_fid_became_worse(record):
    assert names(record(curves=curve(9, 5, 5.5, 5.9))) == []
    assert names(record(curves=curve(9, 5, 5.5, 6.1))) == ["rising"]
    assert names(record(curves=curve(5, 40, 20, 10))) == ["cut off", "rising"]
    runs = [record("glo", curves=curve(5, 6, 7, 8)), record("vae", curves=curve(8, 7, 7, 7))]
    for form in ("text", "md", "latex"):
        shown = " ".join(render(bench_table(runs), form).split())
        assert "#: it became worse while training went on" in shown
        assert "(glo seed 0)" in shown


def test_samples_that_are_one_image_bear_the_mark_however_their_fid_went(record):
    assert names(record(curves=curve(40, 40, 40, 40), facts={"collapsed": True})) == ["cut off"]


def test_a_mark_stands_behind_the_figures_that_it_concerns_in_every_form(record):
    runs = [record("slow", metrics={"fid": 7.0, "is": 5.0}, curves=curve(40, 20, 10, 7)), record("done")]
    (grid,) = bench_table(runs)
    assert next([c.signs for c in row] for row in grid.rows if row[1].text == "slow")[2:4] == ["‡", ""]
    for form, shown in {"text": "7.000*‡ ", "md": "**7.000**‡ ", "latex": r"\textbf{7.000}$^\ddagger$ "}.items():
        assert shown in render([grid], form)
        assert "‡: training was cut off rather than finished" in render([grid], form)
    assert "cut off" in render([grid], "csv")
    assert '"marks": "cut off"' in render([grid], "json")


def test_a_pair_is_judged_under_a_gaussian_unless_its_own_sampler_was_followed(record):
    cut, finished = [[[64000 * x, y] for x, y in ((1 / 2, 10.0), (1.0, end))] for end in (7.0, 9.9)]
    assert names(record(curves={"fid_gaussian": cut})) == ["cut off"]
    assert names(record(curves={"fid_gaussian": finished})) == []
    assert names(record(curves={"fid_gaussian": cut, "fid": finished})) == []


def test_what_was_not_followed_is_said(record):
    (grid,) = bench_table([record(curves={"loss": {"loss": [[64, 1.0]]}}), record("glo", curves=curve(4, 3, 2, 1))])
    said = [note for note in grid.notes if "not followed" in note]
    assert said == ["gldo: FID was not followed over training: whether that was cut off is not known"]


def runs_of_pairs(record):
    def run(pair, updates):
        stages = [{"stage": part, "key": "0" * 16, "made_of": {}} for part in pair]
        return record("+".join(pair), stages=stages, generator_updates=updates, curves=curve(40, 20, 10, 7))

    return [run((r, s), n) for r, n in (("ae", 1000), ("vae", 1100)) for s in ("gmm", "flow")]


TABLES = {
    "ranked": lambda runs: bench_table(runs)[0],
    "front": lambda runs: front(by_protocol(runs), {}),
    "pairs": lambda runs: grid_tables(runs)[0],
    "programs": lambda runs: _everything(by_protocol(runs)),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_the_updates_of_generators_with_the_mark(record, table):
    grid = TABLES[table](runs_of_pairs(record))
    (column,) = [i for i, c in enumerate(grid.columns) if c.key.startswith("generator_updates")]
    shown = [row[column].text + row[column].signs for row in grid.rows if row[column].rests]
    assert shown == (["1,000‡", "1,100‡"] if table == "pairs" else ["1,000‡", "1,000‡", "1,100‡", "1,100‡"])


def test_published_tables_have_them_once_for_columns_of_the_same_runs_and_old_records_a_dash(record):
    plane = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    runs = [
        record("ae_ot_trans", metrics={"ot_divergence": 0.1}, generator_updates=2000, **plane),
        record("ae_ot_gen", metrics={"ot_divergence": 0.1}, **plane),
    ]
    (grid,) = grids(load_table("otgen-table-2d"), None, "ci", runs)
    assert [c.head for c in grid.columns][-1] == "generator updates"
    found = {row[0].data[""]: row[-1].text for row in grid.rows}
    assert (found["ae_ot_trans"], found["ae_ot_gen"], found["data"]) == ("2,000", "–", "–")
    followed = [record(method, curves=curve(40, 20, 10, 7), generator_updates=500) for method in ("glo", "gldo")]
    tables = grids(load_table("gldo-fig4"), None, "ci", [*followed])
    assert all(table.columns[-1].key == "generator_updates" for table in tables if table.rests)


def judged(*values):
    shares = (1 / 8, 1 / 4, 1 / 2, 1.0)[-len(values) :]
    return {"discriminator_auc": [[64000 * share, value] for share, value in zip(shares, values, strict=True)]}


def test_an_adversary_that_never_told_images_from_samples_took_no_part(record):
    assert names(record(curves=judged(0.51, 0.45, 0.5, 0.54))) == ["discriminator at chance"]
    assert names(record(curves=judged(0.59, 0.41, 0.5, 0.5))) == ["discriminator at chance"]


def test_a_finished_gan_is_at_chance_too_and_one_whose_adversary_is_fooled_is_not(record):
    assert names(record(curves=judged(0.98, 0.8, 0.6, 0.5))) == []
    assert names(record(curves=judged(0.5, 0.5, 0.3, 0.5))) == []
    assert names(record(curves=judged(0.5, 0.5, 0.5, 0.9))) == []


def test_what_was_not_followed_bears_no_mark(record):
    assert names(record(metrics={"fid": 1.0, "discriminator_auc": 0.5})) == []
    assert names(record(curves=judged(0.5))) == []


SEARCH = "the search for held-out images' codes had not converged"


@pytest.fixture
def sought(record):
    """GLO's search rose by 1 dB in its second half, GLDO's by less than a tenth, and WAE-MMD has an encoder."""
    ends = {"glo": (25.0, 26.0), "gldo": (26.95, 27.0), "wae_mmd": (None, 20.0)}
    return [searched(record, name, seed, *pair) for name, pair in ends.items() for seed in range(3)]


def searched(record, method, seed, half, full):
    facts = {} if half is None else {"psnr_at_half": half}
    return record(method, seed, {"fid": 3.0 + seed, "psnr": full, "ssim": 0.8}, facts=facts)


def marked(grid, sign):
    keys = [column.key for column in grid.columns]
    return {(row[1].text, key) for row in grid.rows for key, c in zip(keys, row, strict=True) if sign in c.signs}


def test_reconstructions_of_a_search_that_had_not_ended_are_marked_and_nothing_else_is(sought):
    assert marked(bench_table(sought)[0], "‖") == {("glo", "psnr")}
    assert marked(further(sought), "‖") == {("glo", "ssim")}
    assert any(line.startswith(f"‖: {SEARCH}") and "(glo" in line for line in bench_table(sought)[0].remarks)
    assert "‖" not in render(bench_table(sought[3:]), "text")


@pytest.mark.parametrize(
    ("half", "full", "rising"), [(26.0, 26.099, False), (26.0, 26.101, True), (26.2, 26.0, True), (26.0, 26.0, False)]
)
def test_a_search_that_ends_lower_or_just_within_the_bound_has_converged_or_not_by_its_size(record, half, full, rising):
    assert names(searched(record, "glo", 0, half, full)) == ["search not converged"] * rising


def test_every_form_of_a_published_table_marks_an_unfinished_search(sought):
    forms = {f: render_published("gldo-table2", "mnist5k", "ci", sought, f) for f in ("text", "md", "latex", "csv")}
    assert "26.00 ± 0.00‖" in " ".join(forms["text"].split())
    assert "26.00 ± 0.00‖ |" in forms["md"]
    assert r"26.00 $\pm$ 0.00$^\|$" in forms["latex"]
    assert "27.00 ± 0.00‖" not in forms["text"]
    assert "search not converged" in forms["csv"]


def test_a_verdict_says_of_the_figures_that_it_reads_what_is_against_them(sought):
    better = {"better": ["glo", "gldo"], "metric": "psnr", "direction": "up"}
    place = {"id": "c", "paper": "gldo", "source": "s", "statement": "s", "paper_holds": True, "datasets": ["mnist"]}
    for metric, told in (("psnr", True), ("fid", False)):
        claim = Claim.build({**place, **better, "metric": metric}, "c")
        (finding,) = json.loads(claims_json([judge(claim, sought)]))[0]["findings"]
        assert any(SEARCH in mark for mark in finding["marks"]) is told
