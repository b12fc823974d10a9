"""No number rests silently on an outdated record, and nobody takes what is only in the store for published."""

import csv
import io
import json

import pytest

from latent_ot.claims import Claim
from latent_ot.metrics.quality import Region, Report
from latent_ot.metrics.quality import Row as Scored
from latent_ot.report import page
from latent_ot.report.claims import claims_json, render_claims
from latent_ot.report.curves import figure_path
from latent_ot.report.front import front
from latent_ot.report.grid import grid_tables, heat_map
from latent_ot.report.groups import by_protocol
from latent_ot.report.quality import quality_grid
from latent_ot.report.ranking import bench_table
from latent_ot.report.tables import render_published as table
from latent_ot.report.text import render, show, to_csv
from latent_ot.report.verdicts import judge
from latent_ot.results import add, load

WHY = "glo is version 2 now"
NOTE = f"†: today's code would give another result: {WHY} (glo_p seeds 0, 1)"
BETTER = {"id": "c", "paper": "gldo", "source": "", "statement": "GLDO is better", "metric": "fid"}
BETTER |= {"datasets": ["mnist"], "paper_holds": True, "better": ["gldo_p", "glo_p"]}


def old(record, *reasons):
    return record.model_copy(update={"outdated": reasons or (WHY,)})


def in_store(record):
    return record.model_copy(update={"stored": True})


def said(text):
    return " ".join(text.split())


@pytest.fixture
def runs(record):
    """Two methods at three seeds; seeds 0 and 1 of glo are outdated."""
    glo = [record("glo_p", s, {"fid": 20.0 + s}) for s in range(3)]
    return [*(record("gldo_p", s, {"fid": 10.0 + s}) for s in range(3)), *map(old, glo[:2]), glo[2]]


def test_the_bench_table_marks_the_row_and_says_why(runs):
    text = render(bench_table(runs), "text")
    (glo,) = [line for line in text.splitlines() if line.split()[1:2] == ["glo_p"]]
    (gldo,) = [line for line in text.splitlines() if line.split()[1:2] == ["gldo_p"]]
    assert "21.000 ± 2.484†" in glo
    assert "†" not in gldo
    assert NOTE in said(text)
    assert "†" not in render(bench_table([r.model_copy(update={"outdated": ()}) for r in runs]), "text")


def test_a_marked_column_keeps_its_numbers_aligned(runs):
    lines = render(bench_table(runs), "text").splitlines()
    ends = [line.index("±", line.index(".")) for line in lines if line.split()[1:2] in (["glo_p"], ["gldo_p"])]
    assert len(set(ends)) == 1


def test_every_form_of_a_published_table_marks_the_number(runs):
    forms = {form: table("gldo-table1", "mnist5k", "ci", runs, form) for form in ("text", "md", "csv", "latex", "json")}
    assert "50.4 ± 0.4 | 21.000 ± 2.484†" in said(forms["text"])
    assert "50.4 ± 0.4 \\| 21.000 ± 2.484† |" in forms["md"]
    assert r"21.000 $\pm$ 2.484$^\dagger$" in forms["latex"]
    for form in ("text", "md", "latex"):
        assert NOTE in said(forms[form])
        assert forms[form].count("†") + forms[form].count("dagger") == 2
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(forms["csv"]))}
    assert rows["glo_p"]["outdated"] == NOTE.removeprefix("†: ")
    assert rows["gldo_p"]["outdated"] == rows["vae"]["outdated"] == ""
    (found,) = json.loads(forms["json"])
    assert {row["method"]: row["outdated"] for row in found["rows"]}["glo_p"] == NOTE.removeprefix("†: ")
    assert {row["method"]: row["outdated"] for row in found["rows"]}["gldo_p"] is None
    assert NOTE in found["notes"]


def test_on_a_terminal_it_is_marked_too(runs, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "300")
    show(bench_table(runs)[:1], out)
    assert "21.000 ± 2.484†" in out.getvalue()
    assert NOTE in said(out.getvalue())


def test_reasons_are_grouped_and_tell_data_sets_and_budgets_apart(record):
    points = {"dataset": "mnist_10k"}
    made = [record("glo_p", 0), record("glo_p", 1), record("vae", 0), record("glo_p", 0, **points)]
    made = [old(made[0], WHY, "edited: its checksum differs"), old(made[1]), old(made[2]), made[3]]
    text = said(table("gldo-table1", None, None, made))
    assert f"another result: {WHY} (glo_p seeds 0, 1; vae seed 0)" in text
    assert "†: edited: its checksum differs (glo_p seed 0)" in text
    two = [old(record("glo_p", 0, {"ot_divergence": 0.1}, dataset=d)) for d in ("moons", "circles")]
    two.append(record("glo_p", 1, {"ot_divergence": 0.1}, dataset="moons"))
    made = [r.model_copy(update={"method": "ae_ot_gen"}) for r in two]
    assert "(ae_ot_gen on moons at ci seed 0; ae_ot_gen on circles at ci seed 0)" in said(
        table("otgen-table-2d", None, None, made)
    )


def test_an_outdated_data_row_or_failure_is_marked(record):
    made = [old(record("data"), "moons is version 3 now"), record("gldo_p"), record("glo_p")]
    made.append(old(record("vae", status="diverged", reason="loss is NaN", metrics={})))
    text = render(bench_table(made), "text")
    assert "vae (diverged)†" in text
    assert "(data seed 0)" in said(text)
    shown = front(by_protocol(made), {})
    assert [row[2].text + row[2].signs for row in shown.rows if row[1].text == "vae"] == ["diverged†"]


def test_the_front_page_and_a_data_sets_page_and_csv_mark_it(runs, tmp_path):
    add(tmp_path, runs)
    marked = {r.stem: r for r in runs}
    pages = page.generate(tmp_path, [marked[r.stem] for r in load(tmp_path)])
    for name in ("README.md", "mnist5k.md"):
        assert "21.000 ± 2.484†" in pages[name].decode()
        assert f"- {NOTE}" in pages[name].decode()
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(pages["mnist5k.csv"].decode()))}
    assert (rows["glo_p"]["outdated"], rows["gldo_p"]["outdated"]) == (NOTE.removeprefix("†: "), "")


def test_a_curve_at_shares_of_the_budget_and_the_order_at_its_end_are_marked(record):
    loss = {"curves": {"loss": {"discriminator": [[32000, 0.1], [64000, 0.2]]}}}
    text = said(table("sdkl-fig1", "mnist5k", "ci", [record("sdkl", **loss), old(record("vaegan", **loss))]))
    assert "0.2 ± –†" in text or "0.2 ± –*†" in text
    assert "VAEGAN† 0.2" in text
    assert "SDKL† " not in text


def test_the_grid_and_its_heat_map_mark_a_cell(record):
    def pair(representation, sampler, fid):
        stages = [{"stage": s, "key": "0" * 16} for s in (representation, sampler)]
        return record(f"{representation}+{sampler}", 0, {"fid": fid, "prd_f8": 1 / fid}, stages=stages)

    made = [pair(r, s, 2.0 + i) for i, (r, s) in enumerate((r, s) for r in ("ae", "glo") for s in ("imle", "sdot"))]
    made[3] = old(made[3], "sdot is version 2 now")
    text = render(grid_tables(made), "text")
    assert "5.000†" in text
    assert "sdot is version 2 now (glo+sdot seed 0)" in said(text)
    drawn = heat_map(made).decode()
    assert ">5.000†<" in drawn
    assert drawn.count("†") == 2  # one in each panel


def test_a_table_that_rests_on_no_record_has_no_such_column():
    grid = quality_grid(Report("vae", "digits", 0.05, Region(1.0, 10, 0.04, 10), (Scored("a.png", 0.5, 0.6, True),)))
    assert "outdated" not in to_csv(grid)


def test_a_verdict_stays_and_says_what_it_rests_on(runs, tmp_path):
    judged = judge(Claim.build(BETTER, "c"), runs)
    assert judged.verdict == "agrees at small scale"
    (finding,) = json.loads(claims_json([judged]))[0]["findings"]
    assert finding["outdated"] == [NOTE.removeprefix("†: ")]
    text = said(render_claims(runs, "text"))
    assert "of them † rest on an outdated record" in text
    assert f"; † {WHY}" in text
    assert NOTE in text
    add(tmp_path, runs)
    claims = page.generate(tmp_path, runs)["claims.md"].decode()
    stem = runs[3].stem
    assert f"[{stem}](results/{stem}.json)†" in claims
    assert f"[{runs[5].stem}](results/{runs[5].stem}.json)†" not in claims
    assert f"- {NOTE}" in claims
    fresh = [r.model_copy(update={"outdated": ()}) for r in runs]
    assert "†" not in render_claims(fresh, "text")
    assert json.loads(claims_json([judge(Claim.build(BETTER, "c"), fresh)]))[0]["findings"][0]["outdated"] == []


def test_rows_from_the_store_are_named_where_both_places_are_shown(record):
    stored = [in_store(record("glo_p", s)) for s in range(2)]
    mixed = [record("gldo_p"), *stored]
    note = "not published, from the store: glo_p seeds 0, 1"
    assert note in said(table("gldo-table1", "mnist5k", "ci", mixed))
    assert note in said(render(bench_table(mixed), "text"))
    assert "not published, from the store: glo_p seed 0" in said(render_claims(mixed, "text"))  # paired by seed
    for same in (stored, mixed[:1]):
        for text in (table("gldo-table1", "mnist5k", "ci", same), render(bench_table(same), "text")):
            assert "not published" not in text
        assert "not published" not in render_claims(same, "text")
    elsewhere = [record("gldo_p", dataset="cifar10"), *stored]
    assert note in said(table("gldo-table1", "mnist5k", "ci", elsewhere))


def test_runs_on_two_devices_are_never_pooled_with_those_on_one_and_files_say_so(record):
    made = [record("glo_p", 0, {"fid": 10.0}), record("glo_p", 1, {"fid": 30.0}, devices=2)]
    assert [grid.title for grid in bench_table(made)] == ["mnist5k, budget ci", "mnist5k, budget ci, 2 devices a run"]
    text = said(table("gldo-table1", "mnist5k", "ci", made))
    assert "50.4 ± 0.4 | 10.000 ± –" in text
    assert "50.4 ± 0.4 | 30.000 ± –" in text
    figures = [figure_path(group, "training").split("/")[-1] for group in by_protocol(made)]
    assert [name.partition("mnist-")[0] for name in figures] == ["ci--", "ci--d2--"]
    one, both = (page._everything(by_protocol(runs)).flat() for runs in (made[:1], made))
    assert "devices" not in one.columns  # a page of such runs alone is as ever
    assert [*both["devices"]] == [1, 2]


def test_runs_with_two_threads_are_never_pooled_with_those_of_one(record):
    made = [record("glo_p", 0, {"fid": 10.0}), record("glo_p", 1, {"fid": 30.0}, threads=2)]
    one, two = bench_table(made)
    assert (one.title, two.title) == ("mnist5k, budget ci", "mnist5k, budget ci, 2 threads")
    text = said(table("gldo-table1", "mnist5k", "ci", made))
    assert "50.4 ± 0.4 | 10.000 ± –" in text
    assert "50.4 ± 0.4 | 30.000 ± –" in text
    assert "budget ci, 2 threads," in text
    assert [c.head for c in front(by_protocol(made), {}).columns[2:4]] == ["FID ↓, ci", "FID ↓, ci, 2 threads"]
    pooled = [record("gldo_p", 0, {"fid": 1.0}), *made, record("gldo_p", 1, {"fid": 2.0})]
    (finding,) = judge(Claim.build(BETTER, "c"), pooled).findings
    assert (finding.effect.n, finding.group.threads) == (1, 1)
