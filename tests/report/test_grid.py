"""The grid: pairs are known by their stages, whatever the method is called."""

import pytest

from latent_ot.report.grid import grid_tables, heat_map, pairs, print_grid


@pytest.fixture
def pair(record):
    def make(method, representation, sampler, seed=0, fid=5.0, **changes):
        stages = [{"stage": s, "key": "0" * 16} for s in (representation, sampler, "reconstruct", "evaluate")]
        return record(method, seed, changes.pop("metrics", {"fid": fid, "prd_f8": 1 / fid}), stages=stages, **changes)

    return make


@pytest.fixture
def square(pair):
    return [
        pair("glo", "glo", "gaussian", fid=4.0), pair("glo", "glo", "gaussian", seed=1, fid=6.0),
        pair("glo+sdot", "glo", "sdot", fid=3.0), pair("ae_ot_sd", "ae", "sdot", fid=2.0),
        pair("ae+gaussian", "ae", "gaussian", fid=8.0), pair("glo+imle", "glo", "imle", fid=7.0),
    ]  # fmt: skip


def test_a_pair_stands_where_its_stages_meet(square):
    fid, f8 = grid_tables(square)
    assert [column.key for column in fid.columns] == ["representation", "gaussian", "imle", "sdot", "generator_updates"]
    cells = {row[0].text: [cell.data.get("") for cell in row[1:-1]] for row in fid.rows}
    assert cells == {"ae": [8, None, 2], "glo": [5, 7, 3]}
    assert [cell.best for row in fid.rows for cell in row[1:-1]] == [False, False, True, False, False, False]
    assert [cell.best for row in f8.rows for cell in row[1:-1]] == [False, False, True, False, False, False]


def test_a_pair_that_failed_is_named_with_its_reason(square, pair):
    lost = pair("ae+flow", "ae", "flow", status="failed", reason="no room", metrics={})
    assert grid_tables([*square, lost])[0].notes == ("ae+flow seed 0: failed: no room",)


def test_end_to_end_methods_and_changed_settings_are_no_part_of_it(square, record, pair):
    gan = record("dcgan", stages=[{"stage": s, "key": "0" * 16} for s in ("dcgan", "reconstruct", "evaluate")])
    changed = pair("glo+flow", "glo", "flow", overrides={"flow": {"hidden": 8}})
    fixed = pair("kmeans_gauss_k8", "points", "kmeans_gauss")
    assert pairs([*square, gan, changed, fixed]).keys() == pairs(square).keys()


def test_pairs_that_share_no_two_samplers_are_no_grid(pair):
    group = [pair("ae_ot_sd", "ae", "sdot"), pair("glo", "glo", "gaussian"), pair("pca", "pca", "gaussian")]
    assert grid_tables(group) == []
    assert heat_map(group) is None


def test_the_heat_map_shows_every_number_and_is_the_same_every_time(square):
    drawn = heat_map(square)
    assert drawn == heat_map(square)
    for text in (b">2.000<", b">5.000<", b">0.500<", b">sdot<", b">glo<"):
        assert text in drawn


def test_the_grid_is_printed_from_records(square, capsys):
    print_grid(square)
    out = capsys.readouterr().out
    assert "FID ↓ of representations with latent samplers" in out
    assert "2.000*" in out
