"""Numbers are what they were when their versions were stated, and no learning rate can move unseen."""

import math
from functools import cache

import pytest
import torch
from golden import stages
from golden.capture import COMMAND, VALUES, Entry, committed, dump, entries, rounded, take
from golden.compare import differences, leaves

from latent_ot.bench.train import Watch
from latent_ot.bench.train import train as run_stage
from latent_ot.transport.semidiscrete import Schedule

FACTOR = 1.02
RATES = {
    "glo": ["grey", "grey,optim=sgd,lr=1,lr_z=10,loss=lap1,projection=ball"],
    "gldo": ["grey", "grey,optim=sgd,lr=1,lr_z=10"],
    "began": ["grey,halvings=0,k_rate=6e-07"],
    "wgan": ["grey,clip=1.0"],
    "pggan": ["grey,ema=0.99999"],
}
"""Methods -> cases in which a rate counts, where it does not in the default one, or of several kinds: k begins at 0,
parameters lie at the bound."""
STEP_SIZES = {"lr", "lr_d", "lr_z", "gamma_lr", "k_rate", "R"}
SOLVERS = {"sdot"}


def golden(entry):
    """Return an entry's committed values."""
    group, _, name = entry.name.partition("/")
    return committed(group).get(name)


def raised(versions):
    """Return what was raised: a part at version 1 may come and go, see ``identity.key_of``."""
    return {name: version for name, version in versions.items() if version != 1}


def verdict(entry, known, found):
    """Return what is wrong with an entry's values, or None."""
    if known is None:
        return f"{entry.name} has no golden values yet: take them with `{COMMAND} {entry.name}`"
    changed = differences(known["cases"], found["cases"], known.get("apart", {}))
    if changed:
        worst = sorted(changed.items(), key=lambda item: -item[1])
        listed = "; ".join(f"{name} ({value:.3g} times its bound)" for name, value in worst[:5])
        more = f" and {len(worst) - 5} more" if len(worst) > 5 else ""
        now = f"; versions were {known['versions']}, are {found['versions']}"
        versions = "" if raised(known["versions"]) == raised(found["versions"]) else now
        return f"these numbers of {entry.name} changed: {listed}{more}{versions}; {entry.advice}"
    if raised(known["versions"]) != raised(found["versions"]):
        return (
            f"{entry.name} has the same numbers under other versions: {known['versions']} were committed, "
            f"{found['versions']} are stated; renew the golden values with `{COMMAND} {entry.name}`"
        )
    return None


@pytest.mark.parametrize("name", sorted(entries()))
def test_numbers_are_those_committed_under_these_versions(name):
    entry = entries()[name]
    problem = verdict(entry, golden(entry), take(entry))
    assert problem is None, problem


def test_nothing_is_committed_of_what_is_gone_and_all_is_small():
    files = sorted(VALUES.glob("*.json"))
    names = {f"{path.stem}/{name}" for path in files for name in committed(path.stem)}
    assert names == set(entries())
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        assert path.read_text() == dump(committed(path.stem)), f"{path.name} was edited by hand"


def test_a_failure_says_what_to_do():
    entry = Entry("methods/gldo", {"grey": dict}, classes=("Gldo", "Glo"))
    known = {"versions": {"Gldo": 1}, "cases": {"grey": {"losses": {"loss": [1.0, 2.0]}, "moved": {"G": 1.0}}}}
    same = {"versions": {"Gldo": 1}, "cases": {"grey": {"losses": {"loss": [1.0001, 2.0]}, "moved": {"G": 1.004}}}}
    assert verdict(entry, known, same) is None
    changed = {"versions": {"Gldo": 1}, "cases": {"grey": {"losses": {"loss": [1.0, 2.01]}, "moved": {"G": 1.0}}}}
    assert verdict(entry, known, changed) == (
        "these numbers of methods/gldo changed: grey: losses: loss (5 times its bound); if that was meant, raise "
        "`Gldo.version` (or `Glo.version`, where the change is) and renew the golden values with "
        "`.venv/bin/python tests/golden/capture.py methods/gldo`"
    )
    assert "same numbers under other versions" in verdict(entry, known, {**same, "versions": {"Gldo": 2}})
    assert verdict(entry, known, {**same, "versions": {"Gldo": 1, "Glo": 1}}) is None
    both = verdict(entry, known, {**changed, "versions": {"Gldo": 2}})
    assert "versions were {'Gldo': 1}, are {'Gldo': 2}" in both
    assert "no golden values yet" in verdict(entry, None, same)
    for gone in ({"losses": {"loss": [1.0, 2.0]}}, {"losses": {"loss": [1.0]}, "moved": {"G": 1.0}}):
        assert verdict(entry, known, {"versions": {"Gldo": 1}, "cases": {"grey": gone}}) is not None


def test_a_value_that_is_not_a_number_never_agrees():
    assert differences({"loss": [1.0]}, {"loss": [math.nan]})
    assert differences({"network": "infogan"}, {"network": "dcgan"})
    assert not differences({"network": "infogan", "none": None}, {"network": "infogan", "none": None})


@cache
def case(part, name):
    """Return a case by its name."""
    return next(c for c in stages.cases(part) if c.name == name)


def rated():
    """Return (part, case) of every stage that learns by steps."""
    for parts in stages.CATALOG.files.values():
        for part in parts:
            first = stages.cases(part)[0]
            if not getattr(stages.CATALOG.stage(first.kind, part), "closed_form", False) and part not in SOLVERS:
                yield from ((part, name) for name in RATES.get(part, [first.name]))


def slower(network, group):
    """Return a change of a stage that scales the rate of one group of an optimizer while it steps."""

    def change(stage):
        update = stage.update

        def scaled(name, optimizer):
            groups = [optimizer.param_groups[group]] if name == network else []
            before = [one["lr"] for one in groups]
            for one in groups:
                one["lr"] = one["lr"] * FACTOR
            update(name, optimizer)
            for one, lr in zip(groups, before, strict=True):
                one["lr"] = lr

        stage.update = scaled

    return change


@pytest.mark.one_quick
@pytest.mark.parametrize(("part", "name"), rated())
def test_two_percent_of_any_learning_rate_are_seen(part, name):
    one, groups = case(part, name), {}

    def watch(stage):
        update = stage.update
        stage.update = lambda network, optimizer: (
            groups.__setitem__(network, len(optimizer.param_groups)),
            update(network, optimizer),
        )

    entry = entries()[f"{one.kind}/{part}"]
    known, here = golden(entry), rounded(stages.result(one, change=watch))
    assert not differences({name: known["cases"][name]}, {name: here}, known.get("apart", {}))
    config = stages.configuration(one)
    settings = [s for s in STEP_SIZES & type(config).model_fields.keys() if getattr(config, s) is not None]
    assert groups
    for setting in settings:
        found = stages.result(one, settings={setting: FACTOR * getattr(config, setting)})
        assert differences(here, rounded(found)), f"{setting} of {part} may change unseen"
    for network, count in groups.items():
        for group in range(count):
            found = stages.result(one, change=slower(network, group))
            assert differences(here, rounded(found)), f"the rate of {network} ({group}) of {part} may change unseen"


def test_every_setting_that_is_a_rate_is_known():
    fields = {
        name
        for kind, parts in stages.CATALOG.files.items()
        for part in parts
        for name, info in stages.CATALOG.stage(kind, part).Config.model_fields.items()
        if {"lr", "rate"} & set(name.split("_")) or (info.description or "").startswith("step ")
    }
    assert fields <= STEP_SIZES


def test_the_solvers_step_is_seen(monkeypatch):
    rate = Schedule.rate.fget
    monkeypatch.setattr(Schedule, "rate", property(lambda self: FACTOR * rate(self)))
    one = case("sdot", "codes")
    assert differences(golden(entries()["samplers/sdot"])["cases"]["codes"], rounded(stages.result(one)))


def test_the_step_of_a_search_over_codes_is_seen(monkeypatch):
    from latent_ot.methods import _inversion as inversion

    *others, rate = inversion.invert.__defaults__
    monkeypatch.setattr(inversion.invert, "__defaults__", (*others, FACTOR * rate))
    found = take(entries()["scoring/inverted"])["cases"]
    assert differences(golden(entries()["scoring/inverted"])["cases"], found)


@pytest.mark.parametrize("part", ["glo", "wgan_gp", "imle"])
def test_the_hooks_are_called_as_the_trainer_calls_them(part, tmp_path):
    one = stages.cases(part)[0]
    driven, _ = stages.run(one)
    trained = stages.built(one)
    run_stage(
        trained,
        stages.DATA[one.data](),
        tmp_path,
        Watch(lambda **values: None, lambda: False, math.inf),
        torch.device("cpu"),
    )
    state = trained.state_dict()
    for name, value in driven.state_dict().items():
        torch.testing.assert_close(state[name], value)


def test_numbers_are_kept_in_eight_digits_in_one_order():
    assert rounded({"b": [1 / 3, 2], "a": "text"}) == {"b": [0.33333333, 2], "a": "text"}
    assert [path for path, _ in leaves({"x": {"y": 1}, "z": [2]})] == [("x", "y"), ("z",)]
