"""Figures against committed intervals: the rule that makes them, what lies outside, and files of other terms."""

import math

import numpy as np
import pytest
import yaml
from scipy import stats

from latent_ot.budgets import benchmarks
from latent_ot.errors import InputError
from latent_ot.published import load_table
from latent_ot.report.expected import LEVEL, Expected, expect, figure

TABLE = "gldo-table4"
FILES = sorted((benchmarks() / "expected").glob("*.yaml"))
ROWS = {"GLO_L2": ["fid"], "GLDO_L2": ["fid", "code_gradient"]}
FIDS = {"old": [8.0, 9.0, 10.0], "new": [8.5, 9.0, 11.0]}


@pytest.fixture
def spec():
    return load_table(TABLE)


@pytest.fixture
def runs(record):
    """Runs of both rows at three seeds on each of two sets of instructions, and of another method."""
    return {
        name: [
            record(method, seed, {"fid": fid}, facts={"code_gradient": fid / 100, "collapsed": False})
            for method in ("glo", "gldo", "vae")
            for seed, fid in enumerate(fids)
        ]
        for name, fids in FIDS.items()
    }


@pytest.fixture
def expected(spec, runs):
    return expect(spec, ROWS, runs).model_copy(update={"where": "FILE"})


def test_an_interval_holds_a_further_seeds_run_on_any_set_of_instructions(expected):
    logs = np.log([*FIDS["old"], *FIDS["new"]])
    half = stats.t.ppf(0.5 + LEVEL / 2, 2) * math.sqrt(logs.var() * 3 / 2) * math.sqrt(4 / 3)
    ends = np.exp([logs.mean() - half, logs.mean() + half])
    assert expected.rows["GLO_L2"]["fid"] == pytest.approx(ends)
    assert expected.rows["GLDO_L2"]["code_gradient"] == pytest.approx(ends / 100)
    assert (expected.dataset, expected.budget) == ("mnist5k", "ci")
    assert expected.runs == {"old": [0, 1, 2], "new": [0, 1, 2]}


def test_the_same_numbers_on_a_second_set_of_instructions_are_no_more_seeds(spec, record):
    runs = [record("glo", seed, {"fid": fid}) for seed, fid in enumerate([8.0, 9.0, 11.0])]
    once = expect(spec, {"GLO_L2": ["fid"]}, {"old": runs})
    assert expect(spec, {"GLO_L2": ["fid"]}, {"old": runs, "new": runs}).rows == once.rows
    assert expect(spec, {"GLO_L2": ["fid"]}, {"old": runs[:1], "new": runs[1:]}).rows == once.rows


def test_new_normal_values_fall_out_as_often_as_the_level_says(spec, record):
    draws = np.random.default_rng(0).normal(size=(200, 6))
    outside = 0
    for *old, new in draws:
        made = [record("glo", seed, {"fid": math.exp(value)}) for seed, value in enumerate(old)]
        low, high = expect(spec, {"GLO_L2": ["fid"]}, {"own": made}).rows["GLO_L2"]["fid"]
        outside += not low <= math.exp(new) <= high
    assert outside <= 2  # 0.2 are due


def test_runs_inside_are_met_and_one_outside_is_a_line(expected, spec, runs, record, raw, capsys):
    assert list(expected.outside(spec, runs["old"], [0, 1, 2])) == []
    assert expected.met(
        spec, [raw("glo", 5, {"fid": 9.0}), raw("gldo", 5, {"fid": 9.0}, facts={"code_gradient": 0.09})], [5]
    )
    assert capsys.readouterr().err == "every figure lies in its interval: 3 (FILE)\n"
    low, high = expected.rows["GLO_L2"]["fid"]
    worse = [record("glo", 5, {"fid": 1.01 * high}), record("gldo", 5, {"fid": 9.0}, facts={"code_gradient": 0.09})]
    (line,) = expected.outside(spec, worse, [5])
    assert line == (
        f"GLO_L2, seed 5: fid = {1.01 * high:.4g} is outside [{low:.4g}, {high:.4g}], the interval of 99.9% of runs at "
        "a further seed, by 3 seeds on 2 sets of instructions (FILE)"
    )


def test_what_is_missing_is_a_line_each(expected, spec, record):
    def lines(*made):
        return [line.partition(" [")[0] for line in expected.outside(spec, made, [0])]

    whole = record("glo", 0, {"fid": 9.0})
    assert lines(whole) == ["GLDO_L2, seed 0: fid is missing", "GLDO_L2, seed 0: code_gradient is missing"]
    assert lines(whole, record("gldo", 0, {"fid": 9.0})) == ["GLDO_L2, seed 0: code_gradient is missing"]
    failed = record("gldo", 0, {}, status="failed", reason="for want of memory")
    assert len(lines(whole, failed)) == 2
    other = record("gldo", 0, {"fid": 9.0}, facts={"code_gradient": 0.09}, overrides={"gldo": {"eps": 1.0}})
    assert len(lines(whole, other)) == 2  # it is no run of the row
    longer = record("gldo", 0, {"fid": 9.0}, facts={"code_gradient": 0.09}, budget="short")
    assert len(lines(whole, longer)) == 2


def test_a_figure_is_a_metric_or_a_number_among_the_facts(record):
    run = record("glo", 0, {"fid": 9.0}, facts={"collapsed": True, "lr_z_rule": "travel", "train_mse": 0.1})
    assert [figure(run, name) for name in ("fid", "train_mse", "collapsed", "lr_z_rule", "psnr")] == [
        9.0, 0.1, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda runs: runs["new"].pop(0), "rows have runs at the seeds"),  # of one row, not of the other
        (lambda runs: [runs[name].__delitem__(slice(1, None)) for name in runs], "rows have runs at the seeds"),
        (lambda runs: [of.clear() for of in runs.values()], "runs of 0 data sets, budgets and protocols"),
    ],
)
def test_runs_of_which_no_interval_can_be_made_are_refused(changed, said, spec, runs):
    changed(runs)
    with pytest.raises(InputError, match=said):
        expect(spec, ROWS, runs)


def test_a_figure_that_is_not_positive_has_no_logarithm(spec, record):
    runs = [record("glo", seed, {"fid": fid}) for seed, fid in enumerate([1.0, 0.0])]
    with pytest.raises(InputError, match=r"figure 'fid' = 0\.0; allowed: one above 0 in every run"):
        expect(spec, {"GLO_L2": ["fid"]}, {"own": runs})


def test_a_row_that_is_run_in_several_ways_on_one_data_set_is_refused(record):
    spec = load_table("aeotgan-table1")
    runs = [record("pggan", seed, {"fid": 9.0}, dataset="cifar10") for seed in range(2)]
    assert expect(spec, {"PGGAN": ["fid"]}, {"own": runs}).rows == {"PGGAN": {"fid": [9.0, 9.0]}}
    with pytest.raises(InputError, match="row 'WGAN-GP' is run in several ways on cifar10; allowed: in one"):
        expect(spec, {"WGAN-GP": ["fid"]}, {"own": runs})


def test_only_rows_of_the_file_are_run(expected, spec):
    assert [row.label for row in expected.only(spec).rows] == ["GLO_L2", "GLDO_L2"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"table": "gldo-table1"}, "table 'gldo-table4' against {path}; allowed: 'gldo-table1'"),
        ({"dataset": "digits"}, "dataset 'mnist5k' against {path}; allowed: 'digits'"),
        ({"budget": "smoke"}, "budget 'ci' against {path}; allowed: 'smoke'"),
        ({"rows": {"GLDO": {}}}, "row 'GLDO': no figure"),
        (
            {"rows": {"GLDO": {"fid": [2.0, 1.0]}}},
            "row 'GLDO': fid [2.0, 1.0]; allowed: intervals, the lower end first",
        ),
        ({"rows": {"GLDO_L1": {"fid": [1.0, 2.0]}}}, "row 'GLDO_L1' is unknown"),
        ({"seed": [0]}, "setting 'seed' is unknown"),
        ({"level": 1.5}, "setting 'level' = 1.5"),
        ({1: 2}, "setting '1' is unknown"),
    ],
)
def test_a_file_of_other_terms_is_one_line(change, said, expected, spec, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump({**expected.model_dump(), **change}))
    with pytest.raises(InputError) as error:
        Expected.load(path, spec, "mnist5k", "ci")
    assert said.format(path=path) in str(error.value)


def test_what_is_written_is_read(expected, spec, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(expected.model_dump()))
    found = Expected.load(path, spec)
    assert found == expected.model_copy(update={"where": str(path)})
    found.refuse_others("mnist5k", [found.protocol])
    with pytest.raises(InputError, match="dataset 'mnist5k_100' against"):
        found.refuse_others("mnist5k_100", [found.protocol])
    with pytest.raises(InputError, match="protocol 'mnist5k/other' against"):
        found.refuse_others("mnist5k", [found.protocol, "mnist5k/other"])
    with pytest.raises(InputError, match="is missing"):
        Expected.load(tmp_path / "none.yaml", spec)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_committed_files_are_of_ten_seeds_on_two_sets_of_instructions(path):
    found = Expected.load(path, load_table(path.stem))
    assert (len(set().union(*found.runs.values())), len(found.runs), found.level) == (10, 2, LEVEL)
    assert found.versions["torch"]
