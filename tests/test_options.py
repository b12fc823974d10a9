"""Each option is declared once, whatever commands take it, and every command can say what it takes."""

import inspect
import re
from dataclasses import fields
from typing import Annotated, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from latent_ot import cli, options
from latent_ot.errors import InputError
from latent_ot.options import Options, app, duration, numbers, words

OWN = {"prepare": {"dataset"}, "train-evaluator": {"dataset", "out"}}
"""What two commands mean otherwise than all others do."""
COMMANDS = {command.name: command.callback for command in app.registered_commands}


def parameters(name):
    return inspect.signature(COMMANDS[name]).parameters


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_takes(name):
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.output)
    assert (inspect.getdoc(COMMANDS[name]) or "").split(";")[0].split("(")[0][:40] in text
    known = {field.name for field in fields(Options)}
    for key in parameters(name).keys() & known - {"method", "settings", "plugins", "as_json"} - OWN.get(name, set()):
        assert f"--{key.replace('_', '-')}" in text


def test_an_option_has_one_declaration_and_every_declaration_a_command():
    hints = get_type_hints(Options, include_extras=True)
    taken = set()
    for name in COMMANDS:
        for key, parameter in parameters(name).items():
            if key in hints and key not in OWN.get(name, set()):
                assert parameter.annotation == hints[key], f"{name} declares --{key} again"
            taken |= {key}
    assert {field.name for field in fields(Options)} <= taken


def test_every_option_is_explained():
    for key, hint in get_type_hints(Options, include_extras=True).items():
        assert hint.__metadata__[0].help, key
    for name in COMMANDS:
        for key, parameter in parameters(name).items():
            assert hasattr(parameter.annotation, "__metadata__") or key in ("name",), f"{name} {key}"


def test_a_command_without_an_option_has_its_default():
    seen = []
    function = lambda given, extra=0: seen.append((given.method, given.budget, given.seeds, extra))  # noqa: E731
    function.__annotations__ = {"given": Options, "extra": Annotated[int, typer.Option()]}
    function.__name__ = "look_"
    try:
        from latent_ot.options import command

        command("method budget", budget="paper")(function)
        done = CliRunner().invoke(app, ["look", "glo", "--extra", "3"])
    finally:
        app.registered_commands[:] = [c for c in app.registered_commands if c.name != "look"]
    assert done.exit_code == 0, done.output
    assert seen == [("glo", "paper", "0", 3)]


def test_lists_are_read_with_spaces_or_commas():
    assert words("a, b  c") == ["a", "b", "c"]
    assert numbers("0 1,2") == [0, 1, 2]
    for wrong in ("", "one", "-1", "1.5"):
        with pytest.raises(InputError, match="allowed: whole numbers from 0"):
            numbers(wrong)


def test_a_length_of_time_has_units():
    assert [duration(text) for text in ("50m", "1h30m", "90s", " 2h ", "1h0m5s")] == [3000, 5400, 90, 7200, 3605]
    for wrong, near in (
        ("50", "; nearest: 50m"),
        ("0m", ""),
        ("", ""),
        ("1m1h", ""),
        ("-5m", ""),
        ("1.5h", ""),
        ("m", ""),
    ):
        with pytest.raises(InputError, match=f"^time limit '{wrong}'; allowed: .* e.g. 1h30m, 50m or 90s{near}$"):
            duration(wrong)


@pytest.mark.parametrize(
    "name", ["train", "evaluate", "sample", "reconstruct", "interpolate", "quality", "grid", "plan"]
)
def test_a_command_on_one_method_runs_and_scores_where_and_by_what_a_bench_does(name):
    where = {"evaluator", "weights", "inception_weights", "gpus"}
    assert where <= parameters(name).keys()
    for key in where:
        assert parameters(name)[key].annotation == parameters("bench")[key].annotation
    assert where <= parameters("score").keys()


def test_what_trains_is_tracked_and_stops_in_time():
    for name in ("bench", "grid", "train", "table"):
        assert {"track", "wandb_project", "wandb_entity", "time_limit"} <= parameters(name).keys()


def test_a_request_holds_what_the_options_say():
    request = Options(methods="glo vae", seeds="0 1", settings=["glo.lr=0.5"], stop=None).request()
    assert (request.methods, request.seeds) == (["glo", "vae"], [0, 1])
    assert request.overrides == {"glo": {"lr": 0.5}}
    assert Options(method="glo", seed=3).request().seeds == [3]
    tracked = Options(track=["wandb,csv", "wandb"], time_limit="1m30s").request()
    assert list(tracked.track) == ["wandb", "csv", "wandb"]
    assert tracked.deadline == options.BEGAN + 90
    assert Options().request().deadline is None
    with pytest.raises(InputError, match="stopping rule 'gap' is unknown; allowed: duality-gap"):
        Options(stop="gap").request()


def test_no_command_stands_beside_the_others():
    assert set(COMMANDS) >= {"bench", "grid", "train", "evaluate", "sample", "show", "list", "doctor", "prepare"}
    assert cli.app is app
