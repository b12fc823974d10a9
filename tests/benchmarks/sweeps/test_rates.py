"""The search of rates tries every trained part alike, goes on where it stopped, and what it chose is what runs."""

import importlib.util
from dataclasses import replace

import pytest
import yaml

from latent_ot.bench.plan import Facts, Planner
from latent_ot.budgets import benchmarks, budget, rates
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError

SPEC = importlib.util.spec_from_file_location("rates_sweep", benchmarks() / "sweeps" / "rates.py")
assert SPEC
assert SPEC.loader
sweep = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sweep)
CATALOG = Catalog()
SEARCHES = sweep.searches(CATALOG)
DIGITS = Facts("mnist5k", "0" * 12, (1, 32, 32), 4000, 1000, {})


def runs(part, *fids):
    """Make the runs of a part at its four values; None diverged."""
    for place, value in enumerate(fids):
        end = {"status": "diverged"} if value is None else {"status": "done", "fid": value}
        yield {"part": part, "place": place, "settings": {"lr": 10.0**place}, **end}


def test_every_part_that_learns_by_steps_is_searched_after_what_it_builds_on():
    learning = {
        name
        for kind in ("methods", "samplers")
        for name in CATALOG.files[kind]
        if not CATALOG.stage(kind, name).closed_form
    }
    assert learning == {*SEARCHES, "sdot"}
    order = list(SEARCHES)
    assert all(order.index(before) < order.index(part) for part, one in SEARCHES.items() for before in one.before)
    assert SEARCHES["ae_ot_gan"].before == ("ae",)


def test_every_part_is_tried_at_as_many_values_the_printed_one_first():
    for part, search in SEARCHES.items():
        kind = "samplers" if part in CATALOG.files["samplers"] else "methods"
        config = CATALOG.stage(kind, part).Config()
        assert len(search.values) == len(sweep.FACTORS)
        assert all(
            getattr(config, name) == value or (getattr(config, name) is None and sweep.PRINTED[part] == value)
            for name, value in search.values[0].items()
            if part not in sweep.SEARCHED
        )
        for name, printed in search.values[0].items():
            tried = [values[name] for values in search.values]
            if part not in sweep.SEARCHED:
                assert tried == pytest.approx([printed * factor for factor in (1, 10**0.5, 10, 10**1.5)], rel=5e-3)


def test_printed_rates_that_are_none_by_default_are_those_that_their_stages_train_with():
    at_printed = replace(budget("smoke", "mnist5k", 4000), rates={})
    data = Planner(CATALOG, DIGITS, at_printed, lambda: None)
    for part, printed in sweep.PRINTED.items():
        stage = next(stage for job, stage in data.built(data.training(SEARCHES[part].method, 0)) if job["name"] == part)
        optimizer = stage.configure_optimizers()
        assert optimizer.param_groups[0]["lr"] == printed


def test_the_lowest_fid_is_chosen_and_divergence_loses():
    found = sweep.chosen([*runs("a", 9.0, 4.0, 5.0, None), *runs("b", 3.0, 4.0, None, None), *runs("c", 1.0, 2.0)])
    assert found["a"] == {"settings": {"lr": 10.0}, "place": 1, "fid": 4.0, "fid_printed": 9.0, "edge": False}
    assert found["b"]["place"] == 0
    assert "c" not in found  # two values are still to be tried
    assert sweep.chosen([*runs("d", 9.0, 4.0, 3.0, 2.0)])["d"]["edge"]


def test_a_run_takes_the_place_of_the_same_one_of_other_code(tmp_path):
    results = sweep.Results(tmp_path / "rates.json")
    for run in (*runs("a", 9.0, 4.0, 5.0, None), *runs("a", 8.0)):
        results.add(run)
    assert [run.get("fid") for run in results.runs()] == [8.0, 4.0, 5.0, None]
    assert results.path.read_text().count('"fid_printed": 8.0') == 1


def test_what_is_asked_for_brings_what_it_builds_on():
    assert [search.part for search in sweep.todo(SEARCHES, ["ot_gen"])] == ["ae", "ot_gen"]
    with pytest.raises(InputError, match="nearest: dcgan"):
        list(sweep.todo(SEARCHES, ["dcgann"]))


def test_adopting_writes_what_is_not_printed_and_keeps_the_rest_of_the_file(tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text("# why\nimage: {gone: {lr: 1}}\npoints: {kept: {lr: 2}}\n")
    sweep.adopt(sweep.chosen([*runs("a", 9.0, 4.0, 5.0, None), *runs("b", 3.0, 4.0, None, None)]), path)
    assert yaml.safe_load(path.read_text()) == {"image": {"a": {"lr": 10.0}}, "points": {"kept": {"lr": 2}}}
    assert path.read_text().startswith("# why\n")


def test_the_rates_that_run_are_those_that_were_chosen():
    kept = benchmarks() / "sweeps" / "rates.json"
    found = sweep.chosen(sweep.Results(kept).runs())
    assert rates()["image"] in ({}, {part: one["settings"] for part, one in found.items() if one["place"]})
    for kind in rates().values():
        for part, settings in kind.items():
            files = "samplers" if part in CATALOG.files["samplers"] else "methods"
            CATALOG.stage(files, part).Config.build(settings, part)
