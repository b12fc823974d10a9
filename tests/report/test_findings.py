"""The findings: made-up records of which each rule's answer is known."""

import re
from math import log
from urllib.parse import unquote

import pytest

from latent_ot import leaderboard
from latent_ot.published import load_table
from latent_ot.report import page
from latent_ot.report.against import COLUMN, FAR, apart, orders, orders_in, published
from latent_ot.report.beside import places
from latent_ot.report.findings import TOPICS, courses, findings, memorising, training
from latent_ot.report.gains import across, gains, samplers
from latent_ot.report.groups import by_protocol
from latent_ot.report.statements import NAMED, SHOWN, Statement, of_seeds, some, times
from latent_ot.report.statistics import Interval
from latent_ot.results import add, load

SEEDS = range(3)
SHORT = {"budget": "short", "images_budget": 640000}


@pytest.fixture
def pair(record):
    """Make runs of a representation with a sampler, one for each FID; each seed is a training of its own."""

    def make(representation, sampler, fids, key="", **changes):
        runs = []
        for seed, fid in enumerate(fids):
            first = {"stage": representation, "key": f"{key or representation}{seed}"}
            stages = [first, *({"stage": s, "key": "0" * 16} for s in (sampler, "evaluate"))]
            metrics = {"fid": fid, **changes.get("metrics", {})}
            given = {name: value for name, value in changes.items() if name != "metrics"}
            runs.append(record(f"{representation}+{sampler}", seed, metrics, stages=stages, **given))
        return runs

    return make


def only(records):
    (group,) = by_protocol(records).values()
    return group


def outcomes(records):
    return {(gain.representation, gain.sampler): gain.outcome for gain in gains(only(records))}


def sentences(statements):
    return [statement.sentence for statement in statements]


def test_a_sampler_helps_hurts_or_cannot_be_told_by_the_interval_of_the_ratio(pair):
    runs = [*pair("ae", "gaussian", (4.0, 8.0, 16.0)), *pair("ae", "gmm", (2.0, 4.0, 8.4))]
    runs += [*pair("ae", "normal", (8.1, 16.0, 32.0)), *pair("ae", "flow", (2.0, 16.0, 17.0))]
    assert outcomes(runs) == {("ae", "gmm"): "helps", ("ae", "normal"): "hurts", ("ae", "flow"): "undecided"}
    gmm = next(gain for gain in gains(only(runs)) if gain.sampler == "gmm")
    assert gmm.by.n == 3
    assert gmm.by.mean == pytest.approx((2 * log(2) + log(16 / 8.4)) / 3)  # a ratio, whatever the seeds' own FIDs
    (told,) = [s for s in samplers(runs) if s.sentence.startswith("ae on mnist5k at ci: FID, ")]
    assert "is lower with gmm ÷2.0 (1.8 to 2.1), 3 seeds, and higher with normal ×2.0 (" in told.sentence
    assert told.sentence.endswith("seeds.")
    assert "not clearly either with flow ×" in told.sentence
    assert [run.method for run in told.runs[:2]] == ["ae+normal", "ae+gaussian"]  # what says most, beside its Gaussian


def test_only_runs_of_one_seed_and_one_training_of_the_representation_are_compared(pair):
    alike = [*pair("ae", "gaussian", (4.0, 4.0, 4.0)), *pair("ae", "gmm", (2.0, 2.0, 2.0))]
    other = pair("ae", "flow", (1.0, 1.0, 1.0), key="elsewhere")
    collapsed = pair("ae", "imle", (9.0, 9.0, 9.0), facts={"collapsed": True})
    assert outcomes([*alike, *other, *collapsed]) == {("ae", "gmm"): "helps"}
    assert sentences(samplers([*alike, *other, *collapsed]))[-1] == (
        "Of 3 pairs on mnist5k at ci there are 2 without a Gaussian on the same codes, not told of here."
    )
    assert gains(only([*pair("ae", "gaussian", (4.0,)), *pair("ae", "gmm", (0.0,))])) == []  # no ratio to nothing


def test_equal_values_are_no_gain(pair):
    runs = [*pair("ae", "gaussian", (4.0, 5.0, 6.0)), *pair("ae", "gmm", (4.0, 5.0, 6.0))]
    assert outcomes(runs) == {("ae", "gmm"): "undecided"}


def test_the_interval_is_that_of_sampling_where_it_is_wider(pair):
    wide = {"intervals": {"fid": [1.0, 5.0]}}
    runs = [*pair("ae", "gaussian", (4.0, 4.0, 4.0), **wide), *pair("ae", "gmm", (3.0, 3.0, 3.0), **wide)]
    (gain,) = gains(only(runs))
    assert gain.outcome == "undecided"
    assert gain.by.half == pytest.approx(((2 / 4) ** 2 + (2 / 3) ** 2) ** 0.5 / 3**0.5)


def test_a_gain_by_repeating_training_images_is_no_help_and_one_of_few_seeds_is_not_told(pair, record):
    data = record("data", 0, {"fid": 0.1, "copied": 0.4}, intervals={"copied": [0.35, 0.45]})
    runs = [data, *pair("ae", "gaussian", (4.0,) * 3, metrics={"copied": 0.2})]
    runs += [*pair("ae", "sdot", (0.5,) * 3, metrics={"copied": 0.9}), *pair("ae", "gmm", (2.0, 2.0))]
    assert outcomes(runs) == {("ae", "sdot"): "repeats", ("ae", "gmm"): "few"}
    first, last = sentences(samplers(runs))
    assert "is lower, by repeating training images, with sdot◊ ÷8.0 (8.0 to 8.0), 3 seeds." in first
    assert last == "Of 2 pairs on mnist5k at ci there are 1 at fewer than 3 seeds, not told of here."


def test_where_a_seed_was_lost_nothing_is_decided(pair):
    runs = [*pair("ae", "gaussian", (4.0,) * 4), *pair("ae", "gmm", (2.0,) * 3)]
    lost = runs[-1].model_copy(update={"seed": 3, "status": "diverged", "reason": "loss is NaN", "metrics": {}})
    assert outcomes(runs) == {("ae", "gmm"): "helps"}
    assert outcomes([*runs, lost]) == {("ae", "gmm"): "undecided"}


def test_a_mean_over_representations_counts_each_once_and_leaves_out_what_repeats(pair):
    runs = []
    for name, fid in (("ae", 2.0), ("glo", 1.0), ("vae", 0.5)):
        runs += [*pair(name, "gaussian", (4.0,)), *pair(name, "gmm", (fid,)), *pair(name, "normal", (8.0,))]
    runs += [*pair("ae", "flow", (1.0,)), *pair("glo", "flow", (1.0,))]  # with two only
    means = across(gains(only(runs)))
    assert {name: (by.mean, by.n) for name, by in means.items()} == {
        "gmm": (pytest.approx(log(4)), 3),
        "normal": (pytest.approx(-log(2)), 3),
    }
    first, last = sentences(samplers(runs))
    assert first == (
        "On mnist5k at ci, FID is on average over representations higher with normal ×2.0 (2.0 to 2.0) over 3; not "
        "clearly either with gmm ÷4.0 (0.71 to 22) over 3; at 1 seed each; of 3 of these 6 pairs FID is lower and it "
        "was not measured whether they repeat training images."
    )
    assert last == "Of 8 pairs on mnist5k at ci there are 8 at fewer than 3 seeds, so that none is told of by itself."


def test_without_a_gaussian_or_a_record_that_is_what_is_said(record, pair):
    (told,) = samplers([record("dcgan")])
    assert told.sentence == "No sampler stands beside the Gaussian on the codes of one representation yet."
    assert told.links == [("mnist5k", "mnist5k.md")]
    assert findings([]) == []
    (told,) = samplers(pair("ae", "gmm", (2.0,)))
    assert told.sentence.startswith("No sampler stands beside")


def copied(record, **shares):
    data = record("data", 0, {"fid": 0.1, "copied": 0.4}, intervals={"copied": [0.35, 0.45]})
    return [data, *(record(name, 0, {"fid": fid, "copied": share}) for name, (fid, share) in shares.items())]


def test_what_repeats_training_images_is_named_most_first_with_what_its_fid_passes_for(record):
    runs = copied(record, ae=(0.3, 0.8), glo=(5.0, 0.9), vae=(2.0, 0.44), gan=(1.0, 0.2))
    (told,) = memorising([*runs, record("pca", 0, {"fid": 9.0})])
    assert told.sentence == (
        "On mnist5k at ci, of 4 methods of which it was measured 2 repeat training images: glo 0.900, 1 seed; "
        "ae 0.800, 1 seed, beside 0.400 ± 0.050 of held-out images; FID below that of all others measured: 1 of "
        "them; not measured: 1."
    )
    assert [run.method for run in told.runs] == ["glo", "ae"]


def test_what_is_no_more_than_the_held_out_images_interval_does_not_repeat(record):
    (told,) = memorising(copied(record, ae=(0.3, 0.45), vae=(2.0, 0.44)))
    assert (
        "of 2 methods of which it was measured none does; the largest share: ae 0.450, 1 seed, beside" in told.sentence
    )
    assert [run.method for run in told.runs] == ["ae"]


def test_where_it_was_not_measured_that_is_said_and_points_are_not_asked(record):
    points = {"dataset": "ring8", "protocol": {"id": "ring8/n1000x250", "n": 1000}}
    (told,) = memorising([record("gan"), record("gan", 0, {"ot_divergence": 0.1}, **points)])
    assert told.sentence == "It was not measured on mnist5k at ci."
    (told,) = memorising([record("gan", 0, {"ot_divergence": 0.1}, **points)])
    assert told.sentence == "No images were scored yet."


def course(*values, curve="fid"):
    return {"curves": {curve: [[64000 * (i + 1) / len(values), y] for i, y in enumerate(values)]}}


def test_what_still_falls_and_what_has_risen_is_told_by_how_much_at_how_many_seeds(record):
    runs = [record("gan", seed, **course(9, 8.0, 6.0, end)) for seed, end in enumerate((4.0, 4.0, 7.0))]
    runs += [record("glo_p", 0, **course(9, 2.0, 6.0, 3.0)), record("vae", 0, **course(9, 8.0, 8.0, 7.9))]
    runs += [record("wgan", 0, **course(9, 8.0, 6.0, 1.0), facts={"collapsed": True}), record("pca", 0)]
    falling, risen = training(runs)
    assert falling.sentence == (
        "On mnist5k at ci, FID still fell at the end of training in 1 of 3 that were followed: gan ÷2.0 (2.0 to 2.0), "
        "2 of 3 seeds."
    )
    assert [(run.method, run.seed) for run in falling.runs] == [("gan", 0), ("gan", 1)]
    # its FID rose from 2 to 3, although it fell from 6 before that
    assert risen.sentence == "On mnist5k at ci, FID has risen in 1 of 3 that were followed: glo_p ×1.5, 1 seed."


def test_a_fifth_is_neither_falling_nor_risen(record):
    (told,) = training([record("gan", 0, **course(10.0, 8.0)), record("vae", 0, **course(10.0, 12.0))])
    assert told.sentence == "On mnist5k at ci, FID still fell or has risen in none of 2 that were followed."
    (told,) = training([record("gan", 0)])
    assert told.sentence == "No run's FID was followed over its training yet."


def test_a_training_that_samplers_share_counts_once(pair):
    followed = course(9.0, 8.0, 6.0, 4.0, curve="fid_gaussian")
    shared = [*pair("glo", "gaussian", (4.0, 4.0), **followed), *pair("glo", "gmm", (2.0, 2.0), **followed)]
    other = pair("glo", "sdot", (2.0,), key="wide", config={"glo": {"width": 2}}, **followed)
    assert [(one.name, len(one.runs)) for one in courses([*shared, *other])] == [
        ("glo of glo+gaussian", 2),
        ("glo of glo+sdot", 1),
    ]
    assert [(one.name, len(one.runs)) for one in courses(shared)] == [("glo", 2)]


def ordered(record, gldo, glo, **changes):
    runs = [record("gldo_p", seed, {"fid": gldo + seed / 10}, **changes) for seed in SEEDS]
    return [*runs, *(record("glo_p", seed, {"fid": glo + seed / 10}, **changes) for seed in SEEDS)]


def test_an_order_that_holds_at_one_scale_and_not_at_another_is_told_first(record):
    runs = [*ordered(record, 5.0, 9.0, **SHORT), *ordered(record, 9.0, 5.0)]
    first, longer, shorter = orders(runs)
    statement = "“GLDO generates better images than GLO” (gldo-c01)"
    assert first.sentence == f"{statement} holds on mnist5k at short and is reversed on mnist5k at ci."
    assert longer.sentence == (
        "On mnist5k at short, 640,000 images a stage, less than the papers' scale, of 1 orders: reversed: none; "
        f"hold: 1, {statement}; undecided: none."
    )
    assert f"reversed: 1, {statement}; hold: none; undecided: none." in shorter.sentence
    assert {run.budget for run in first.runs} == {"short", "ci"}
    assert first.links[-1] == ("9 more on claims", "claims.md")


def test_an_order_of_one_seed_or_with_an_interval_that_contains_zero_is_undecided(record):
    one = [run for run in ordered(record, 5.0, 9.0) if run.seed == 0]
    (told,) = orders(one)
    assert told.sentence.endswith("reversed: none; hold: none; undecided: 1, 1 of them at fewer than 3 seeds.")
    spread = [run for run in ordered(record, 5.0, 5.0) if run.method == "gldo_p"]
    spread += [record("glo_p", seed, {"fid": fid}) for seed, fid in enumerate((4.0, 5.0, 7.0))]
    (told,) = orders(spread)
    assert told.sentence.endswith("reversed: none; hold: none; undecided: 1.")


def test_an_order_is_judged_in_a_group_alone_and_only_where_all_its_rows_were_run(record):
    half = [run for run in ordered(record, 5.0, 9.0, **SHORT) if run.method == "gldo_p"]
    groups = by_protocol([*half, *(run for run in ordered(record, 5.0, 9.0) if run.method == "glo_p")])
    assert [orders_in(group, key) for key, group in groups.items()] == [[], []]
    (told,) = orders(half)
    assert told.sentence == "No published order has all its rows in one group yet."
    assert told.links == [("claims", "claims.md")]


def table1(record, factor, **changed):
    """GLDO's Table 1 on MNIST: ours are its numbers times ``factor``, but for those given."""
    (column,) = [c for c in load_table("gldo-table1").columns if c.key == "mnist_fid"]
    rows = [r for r in load_table("gldo-table1").rows if r.method and column.key in r.values]
    values = {row.method: factor * row.values[column.key].value for row in rows} | changed
    return [record(method, seed, {"fid": fid}) for method, fid in values.items() for seed in SEEDS]


def test_the_number_that_is_furthest_from_the_published_is_told_beside_its_columns_median(record):
    first, last = published(table1(record, 0.2, dcgan=14.7 * 4))
    assert first.sentence == (
        "DCGAN on MNIST, FID 14.7 ± 1.6 in gldo-table1, has 58.800 ± 0.000 here (mnist5k at ci, 3 seeds, less than the "
        "paper's scale): ×4.0 where the median of 7 rows is ÷5.0, ×20 beside it."
    )
    assert [run.method for run in first.runs] == ["dcgan"] * 3
    assert last.sentence.startswith("6 more numbers that can be compared lie within a factor of 2; the furthest: ")


def test_a_column_that_is_all_off_by_one_factor_does_not_differ_and_ties_are_in_order(record):
    (told,) = published(table1(record, 5.0))
    assert told.sentence.startswith("All 7 numbers that can be compared lie within a factor of 2; the furthest: ")
    assert sentences(published(table1(record, 5.0)[::-1])) == [told.sentence]


def test_few_rows_collapsed_ones_and_those_that_repeat_training_images_are_not_compared(record):
    runs = table1(record, 0.1, dcgan=14.7)
    few = [run for run in runs if run.method in ("dcgan", "gldo_p")]
    assert len({run.method for run in few}) < COLUMN
    assert sentences(published(few)) == ["Too few rows of a published table were run to compare."]
    fallen = [r.model_copy(update={"facts": {"collapsed": True}}) if r.method == "dcgan" else r for r in runs]
    assert "DCGAN" not in " ".join(sentences(published(fallen)))
    copies = record("data", 0, {"fid": 0.1, "copied": 0.4}, intervals={"copied": [0.35, 0.45]})
    given = {"metrics": {"fid": 14.7, "copied": 0.9}}
    back = [r.model_copy(update=given) if r.method == "dcgan" else r for r in runs]
    assert "DCGAN" not in " ".join(sentences(published([copies, *back])))


def test_points_are_compared_as_they_are(record):
    points = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000}, "budget": "paper"}
    runs = [record("ae_ot_gen", seed, {"ot_divergence": 0.09 * 3}, **points) for seed in SEEDS]
    first = published(runs)[0].sentence
    assert first.startswith(
        "OTgen on moons, OT divergence 0.090 in otgen-table-2d, has 0.2700 ± 0.0000 here (moons at "
    )
    assert first.endswith("): ×3.0.")
    (place,) = places(load_table("otgen-table-2d"), "moons", None, runs)
    (found,) = apart(place)
    assert (found.by > log(FAR), found.rows) == (True, 0)


def test_a_statement_links_its_first_records_and_the_page_that_has_all(record):
    runs = tuple(record("gan", seed) for seed in range(SHOWN + 2))
    old = runs[0].model_copy(update={"outdated": ("Gan is version 2 now, was 1",)})
    told = Statement("A < B", (old, *runs[1:]), ("mnist5k.md",))
    assert [name for name, _ in told.links] == ["gan seed 0†", "gan seed 1", "gan seed 2", "2 more on mnist5k"]
    assert told.links[0][1] == f"results/{old.stem}.json"
    assert told.markdown.startswith("A &lt; B ([gan seed 0†](results/")


def test_numbers_and_lists_in_words():
    assert times(Interval(log(2), log(2), 3)) == "÷2.0 (1.0 to 4.0)"
    assert times(Interval(-log(20), None, 1)) == "×20"
    assert times(Interval(0.0, 9.0, 3)) == "÷1.0 (under 0.001 to over 1,000)"
    assert (of_seeds(1), of_seeds(3), of_seeds(1, 3)) == ("1 seed", "3 seeds", "1 of 3 seeds")
    names = [f"m{i}" for i in range(NAMED + 2)]
    assert some(names) == "; ".join([*names[:NAMED], "and 2 more"])


def shown_by(topics):
    return [statement.sentence for topic in topics for statement in topic.statements]


def test_every_topic_is_on_the_page_with_its_rule_its_links_are_files_and_no_order_of_records_matters(rich_board):
    records = load(rich_board)
    topics = findings(records)
    assert [topic.title for topic in topics] == [title for title, *_ in TOPICS]
    assert shown_by(findings(records[::-1])) == shown_by(topics)
    assert sum(len(topic.statements) for topic in topics) <= 25
    leaderboard.write(rich_board, records)
    text = (rich_board / "README.md").read_text()
    shown = text.partition("## Findings\n")[2].partition("## Tables\n")[0]
    assert all(f"### {topic.title}\n\n*{topic.rule}*\n\n- " in shown for topic in topics)
    lines = [line for line in shown.splitlines() if line.startswith("- ")]
    assert len(lines) == sum(len(topic.statements) for topic in topics)
    for line in lines:
        links = [unquote(path) for path in re.findall(r"\]\(([^)\s]+)\)", line)]
        assert links
        assert [path for path in links if not (rich_board / path).is_file()] == []


def test_more_sentences_than_a_page_has_room_for_are_counted(pair, tmp_path):
    runs = []
    for i in range(12):
        runs += [*pair(f"ae{i}", "gaussian", (4.0, 4.1, 4.2)), *pair(f"ae{i}", "gmm", (2.0, 2.1, 2.2))]
    topic = findings(runs)[0]
    assert len(topic.statements) == 10
    assert topic.statements[-1].sentence == "4 more sentences of this kind are left out."
    add(tmp_path, runs)
    assert page.generate(tmp_path, runs)["README.md"].startswith(b"# Leaderboards\n\nEvery sentence, table")
