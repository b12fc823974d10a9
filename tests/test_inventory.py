"""``latent-ot show`` says of every method and sampler what it is, and of every setting what it may be and why."""

import json
import sys

import pytest

from latent_ot import cli
from latent_ot.bench.request import Request
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.inventory import card, told

CATALOG = Catalog()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return the card of a method on the smallest data set that it takes."""
    data_dir = tmp_path_factory.mktemp("data")

    def show(name, dataset=None, **changes):
        points = name in CATALOG.method_names() and "image" not in CATALOG.accepts(name)
        dataset = dataset or ("ring8" if points else "digits")
        return card(Request(dataset, [name], budget="smoke", data_dir=data_dir, **changes))

    return show


@pytest.mark.one_quick
@pytest.mark.parametrize("name", sorted({*CATALOG.method_names(), *CATALOG.sampler_names()}))
def test_everything_with_a_name_is_shown(name, shown):
    found = shown(name)
    assert (found["name"], found["budget"]) == (name, "smoke")
    assert found["about"]
    parts = CATALOG.recipe(name).parts if name in CATALOG.method_names() else (name,)
    assert [stage["name"] for stage in found["stages"]] == list(parts)
    text = told(found)
    for stage in found["stages"]:
        assert stage["about"]
        for setting in stage["settings"]:
            assert setting.keys() == {"name", "value", "default", "allowed", "source"}
            assert setting["allowed"]
            assert setting["source"]
            assert "typing." not in setting["allowed"]
            assert f"{setting['name']} = " in text
    assert json.loads(json.dumps(found)) == found


def test_a_setting_shows_its_value_its_default_and_its_bounds(shown):
    (stage,) = shown("dcgan", overrides={"dcgan": {"lr": 0.5}})["stages"]
    settings = {setting["name"]: setting for setting in stage["settings"]}
    assert settings["dcgan.lr"]["value"] == 0.5
    assert settings["dcgan.lr"]["default"] < 0.01
    assert settings["dcgan.lr"]["allowed"] == "float > 0"
    assert "GLDO" in settings["dcgan.batch_size"]["source"]
    assert stage["networks"].keys() == {"G", "D"}
    assert "dcgan.lr = 0.5  (float > 0, default " in told(shown("dcgan", overrides={"dcgan": {"lr": 0.5}}))


def test_a_sampler_alone_is_shown_on_points_too(shown):
    (stage,) = shown("sdot", "ring8")["stages"]
    assert (stage["role"], stage["name"]) == ("sampler", "sdot")


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("gldoo", "'gldoo' is unknown; allowed: .*; nearest: gldo$"),
        ("sdto", "nearest: sdot$"),
        ("all", "'all' is unknown; allowed: "),
        ("glo+sdto", "nearest: sdot$"),
        ("vae --dataset ring8", "vae takes images; ring8 holds 2-D points$"),
        ("gldo --dataset rign8", "nearest: ring8$"),
        ("gldo --budget c1", "nearest: ci$"),
    ],
)
def test_what_is_not_there_is_one_line_with_the_nearest(words, said, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["latent-ot", "show", *words.split(), "--data-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    with pytest.raises(InputError, match=said):
        raise InputError(line)
