"""Plans: a stage's key is all that decides its outcome, and runs share the stages on which they agree."""

from dataclasses import replace

import pytest
from planning import BUDGET, dataset, keys, planner

from latent_ot import budgets
from latent_ot.bench.settings import parse_overrides
from latent_ot.budgets import budget
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError


def test_one_representation_serves_every_sampler():
    plan = planner()
    first, second = plan.run("ae+gaussian", 0), plan.run("ae_ot_sd", 0)
    assert keys(first)[0] == keys(second)[0]
    assert keys(first)[1] != keys(second)[1]
    assert second.stages[1].inputs == (second.stages[0].name,)
    assert keys(first)[2] == keys(second)[2]  # held-out images are reconstructed once, whatever the sampler
    assert [stage.part for stage in second.stages] == ["ae", "sdot", "reconstruct", "evaluate"]
    assert second.stages[3].inputs == tuple(stage.name for stage in second.stages[:3])


def test_a_sampler_draws_codes_and_a_representation_images():
    stages = planner().run("ae_ot_sd", 0).stages
    assert [stage.job["images"] for stage in stages[:2]] == [BUDGET.images, BUDGET.codes]


LEARNING = [name for name in Catalog().sampler_names() if not Catalog().stage("samplers", name).closed_form]


@pytest.mark.one_quick
@pytest.mark.parametrize("rows", [None, 32, 4096])
@pytest.mark.parametrize("name", LEARNING)
def test_at_paper_a_latent_sampler_makes_as_many_steps_whatever_its_batch(name, rows):
    sized = "batch_size" in Catalog().stage("samplers", name).Config.model_fields
    overrides = {name: {"batch_size": rows}} if sized and rows else None
    for data, method, steps in ((dataset(), f"ae+{name}", 15_000), (dataset("points"), f"points+{name}", 10_000)):
        plan = planner(data, overrides, budget("paper", data.id, data.train, data.kind))
        stages = dict(zip(("method", "sampler"), plan.built(plan.training(method, 0)), strict=True))
        job, sampler = stages["sampler"]
        assert sized == (sampler.rows_per_step > 1)
        assert job["images"] == steps * sampler.rows_per_step
        assert sampler.total_steps == steps or not sized  # the solver stops by its own tolerance


@pytest.mark.parametrize("name", ["smoke", "ci", "short"])
def test_below_paper_all_latent_samplers_draw_equally_many_codes(name):
    terms = budget(name, "toyset", 100)
    plan = planner(budget=terms)
    draws = {plan.training(f"ae+{sampler}", 0).stages[1].job["images"] for sampler in LEARNING}
    assert draws == {{"smoke": 12_800, "ci": 256_000, "short": 2_560_000}[name]} == {terms.codes}


def test_a_name_can_fix_settings_of_its_parts_and_set_comes_after_it():
    data = dataset("points")

    def components(name, overrides=None):
        return planner(data, overrides).run(name, 0).stages[1].job["config"]["components"]

    assert (components("kmeans_gauss_k8"), components("kmeans_gauss_k16")) == (8, 16)
    assert components("kmeans_gauss_k8", {"kmeans_gauss": {"components": 3}}) == 3


def test_bare_representation_is_the_pair_with_its_default_sampler():
    plan = planner()
    assert keys(plan.run("glo", 0))[:2] == keys(plan.run("glo+gaussian", 0))[:2]
    assert keys(plan.run("vae", 0))[:2] == keys(plan.run("vae+normal", 0))[:2]


@pytest.mark.parametrize(
    "changed",
    [
        lambda: planner().run("glo", 1),
        lambda: planner(overrides={"glo": {"latent_dim": 8}}).run("glo", 0),
        lambda: planner(dataset(content_id="1" * 12)).run("glo", 0),
        lambda: planner(budget=replace(BUDGET, images=704)).run("glo", 0),
        lambda: planner(budget=replace(BUDGET, width=0.5)).run("glo", 0),
        lambda: planner(threads=2).run("glo", 0),
    ],
)
def test_seed_setting_data_budget_width_and_threads_change_every_key(changed):
    assert not set(keys(planner().run("glo", 0))) & set(keys(changed()))


def test_devices_change_the_keys_of_what_they_share_and_of_what_is_built_on_it():
    one, two = (planner(devices=count).run("ae+gaussian", 0) for count in (1, 2))
    assert [stage.devices for stage in two.stages] == [2, 1, 1, 1]
    assert not any("devices" in stage.job for stage in one.stages)  # whose keys are those of ever
    assert not {*keys(one)} & {*keys(two)}
    assert keys(planner(devices=2).run("pca", 0)) == keys(planner().run("pca", 0))  # closed forms take one
    of_pca = planner(devices=2).run("pca+sdot", 0), planner(devices=2).run("pca+flow", 0)
    assert [[stage.devices for stage in run.stages[:2]] for run in of_pca] == [[1, 2], [1, 1]]


@pytest.mark.parametrize(
    ("method", "setting", "devices", "said"),
    [
        ("gldo", {}, 3, r"gldo: batch_size = 64 on 3 devices .*a multiple of them, or 1, 2 devices; nearest: .*run 2$"),
        ("glo", {"batch_size": 50}, 4, r"glo: batch_size = 50 on 4 .*; nearest: --devices-per-run 2$"),
        (
            "sngan",
            {"generator_batch": 36},
            8,
            r"sngan: generator_batch = 36 on 8 .*or 1, 2, 4 devices; nearest: ",
        ),
        (
            "ae_ot_gan",
            {"generated": 7},
            16,
            r"batch_size / \(1 \+ generated\) = 8 on 16 .*; nearest: .*run 8$",
        ),
    ],
)
def test_batches_that_devices_do_not_divide_are_refused_with_what_can_be_chosen(method, setting, devices, said):
    with pytest.raises(InputError, match=said):
        planner(overrides={method: setting}, devices=devices).run(method, 0)


def test_keys_do_not_change_from_plan_to_plan():
    assert keys(planner().run("glo", 0)) == keys(planner().run("glo", 0))


def test_sample_count_is_one_for_the_data_row_and_every_method():
    plan = planner()
    counts = {run.stages[-1].job["protocol"]["n"] for run in (plan.data_row(0), plan.run("glo", 0))}
    assert counts == {20}  # no more than are held out


def test_points_are_their_own_codes():
    plan = planner(dataset("points")).run("ae_ot_sd", 0)
    assert [stage.part for stage in plan.stages] == ["points", "sdot", "evaluate"]


def test_an_image_method_declines_points_with_a_reason():
    plan = planner(dataset("points")).run("dcgan", 0)
    assert plan.stages == ()
    assert plan.declined == "dcgan takes images; toyset holds 2-D points"


def test_settings_name_the_row():
    plan = planner(overrides={"gldo": {"eps": 0.5}}).run("gldo", 0)
    assert plan.label == "gldo[eps=0.5]"
    assert plan.stages[0].job["config"]["eps"] == 0.5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: planner().run("gldp", 0), "method 'gldp' is unknown; .*nearest: gldo"),
        (lambda: planner().run("glo+gausian", 0), "latent sampler 'gausian' is unknown; .*nearest: gaussian"),
        (
            lambda: planner(overrides={"glo": {"latent": 8}}).run("glo", 0),
            "glo: setting 'latent' is unknown; .*nearest",
        ),
        (lambda: planner(overrides={"glo": {"latent_dim": -1}}).run("glo", 0), "glo: setting 'latent_dim' = -1: "),
        (lambda: planner(overrides={"gldo": {"eps": 1}}).check_overrides(["glo"]), "setting for 'gldo' is unknown"),
        (lambda: parse_overrides(["eps=1"]), "setting 'eps=1' is not of the form NAME.KEY=VALUE"),
    ],
)
def test_bad_input_is_one_line_with_the_nearest_choice(call, said):
    with pytest.raises(InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


SEARCHED = {"dcgan": {"lr": 0.003}, "vae2": {"lr": 0.002}, "glo": {"lr": 0.5}}


def configs(method, overrides=None, rates=SEARCHED):
    stages = planner(overrides=overrides, budget=replace(BUDGET, rates=rates)).run(method, 0).stages
    return {stage.part: stage.job["config"] for stage in stages if "config" in stage.job}


def test_a_searched_rate_stands_in_the_place_of_the_printed_one_in_methods_and_samplers():
    assert configs("dcgan")["dcgan"]["lr"] == 0.003
    assert configs("dcgan")["dcgan"]["beta1"] == 0.5
    assert {part: config["lr"] for part, config in configs("glo_tsv").items()} == {"glo": 0.5, "vae2": 0.002}
    assert planner(budget=replace(BUDGET, rates=SEARCHED)).run("dcgan", 0).label == "dcgan"
    assert configs("dcgan", rates={}) == configs("dcgan", rates={"vae": {"lr": 0.01}})
    assert configs("dcgan", rates={})["dcgan"]["lr"] == 0.001


def test_what_is_set_by_hand_wins_over_a_searched_rate_even_where_it_is_the_printed_one():
    assert configs("dcgan", {"dcgan": {"lr": 0.001}})["dcgan"]["lr"] == 0.001


def test_a_wrong_searched_setting_is_refused_by_name():
    with pytest.raises(InputError, match="dcgan: setting 'rate' is unknown"):
        configs("dcgan", rates={"dcgan": {"rate": 0.1}})


def test_small_budgets_take_searched_rates_and_the_papers_own_length_does_not(monkeypatch):
    monkeypatch.setattr(budgets, "rates", lambda: {"image": SEARCHED, "points": {"iwgan": {"lr": 1.0}}})
    taken = {name: budgets.budget(name, "mnist5k", 4000).rates for name in budgets.settings()["budgets"]}
    assert {name for name, found in taken.items() if found == SEARCHED} >= {"smoke", "ci", "short"}
    assert taken["paper"] == {}
    assert budgets.budget("ci", "grid25", 4000, "points").rates == {"iwgan": {"lr": 1.0}}


@pytest.mark.parametrize("name", ["paper", "epochs500"])
def test_codes_go_as_far_at_every_length_but_on_the_data_that_their_step_size_was_printed_for(monkeypatch, name):
    travel = {"gldo": {"travel": 0.7}}
    monkeypatch.setattr(budgets, "rates", lambda: {"image": {**travel, **SEARCHED}, "points": {}})
    for other in ("mnist5k", "digits", "mnist_10k", "folder:x"):
        assert budgets.budget(name, other, 4000).rates == travel
    for own in ("mnist", "fashion_mnist", "cifar10", "celeba64_crop160", "lsun_bedroom64"):
        assert budgets.budget(name, own, 60_000).rates == {}
