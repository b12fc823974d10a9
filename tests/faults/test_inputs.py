"""Input of a wrong type or range is refused in one line, with what is allowed, before any work starts."""

import json
import sys

import numpy as np
import pytest
from planning import dataset, planner

import latent_ot as lo
from latent_ot import cli
from latent_ot.bench.benchmark import Benchmark, check_end
from latent_ot.bench.executors.local import Local
from latent_ot.bench.request import SEEDS, Request
from latent_ot.bench.settings import by_part, parse_overrides
from latent_ot.bench.store import Store
from latent_ot.catalog import Catalog
from latent_ot.config import Config
from latent_ot.errors import InputError, RunFailed, choose, nearest, one_line, within
from latent_ot.options import Options, numbers

HERE = ["--dataset", "digits", "--budget", "smoke"]


def line(call):
    """Return the one line that a call is refused with."""
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).isprintable()
    return str(error.value)


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0, capsys.readouterr()


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture
def place(once, monkeypatch):
    """A folder to run commands in, where data are prepared once."""
    monkeypatch.chdir(once)
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    return once


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "]",
        "{",
        "{a: 1",
        "*a",
        "!!python/object:os.system x",
        "!tag x",
        "@x",
        "`x",
        "%x",
        "2024-13-45",
        "[" * 1500,
    ],
)
def test_a_value_that_is_no_yaml_is_one_line(text):
    said = line(lambda: parse_overrides([f"vae.lr={text}"]))
    assert said.startswith("setting 'vae.lr' = ") or "is given" in said


@pytest.mark.parametrize(
    ("part", "key", "text"),
    [
        *[("vae", "lr", value) for value in ("true", "off", "{a: 1}", "[1]", "nan", "-inf", "1e400", "0", "-1", "")],
        *[
            ("vae", "lr", value)
            for value in ("1:30", "0x10", "²", "fast", "1,5", "&a", "- -", "2024-01-01", "1 2", "null")
        ],
        *[("vae", "latent_dim", value) for value in ("1.5", "0", "1e30", "1000001", "1:30", "0b1", "True", "[]")],
        *[("vae", "network", value) for value in ("3", "true", "[infogan]", "nan", "INFOGAN", "")],
        *[("vae", key, "1") for key in ("LR", "l r", "lr.lr", "__class__", "é")],
        *[("wae_mmd", "schedule", value) for value in ("1", "Constant", "[steps]")],
        *[("ctgan", "dropout", value) for value in ("[true, 0.5, 0.5]", "[0.5]", "0.5", "[0.5, 0.5, 1.5]")],
        ("pca", "components", "100000"),
        ("vae", "batch_size", "641"),
        ("ae", "squash", "2"),
        ("iwgan", "stop", "never"),
    ],
)
def test_a_setting_of_another_type_or_range_is_one_line_that_names_it(part, key, text):
    assert part in line(lambda: planner(overrides=parse_overrides([f"{part}.{key}={text}"])).training(part, 0))


@pytest.mark.parametrize(
    ("method", "part", "key", "count"),
    [
        ("glo", "glo", "latent_dim", 10**6),
        ("pca+gmm", "gmm", "components", 101),
        ("glann", "imle", "hidden", 10**6),
        ("wgan", "wgan", "latent_dim", 10**9),
        ("ae_ot_kp", "potential", "layers", 10**6),
    ],
)
def test_a_setting_that_is_more_than_there_is_is_refused_before_memory_is_asked_for(method, part, key, count):
    plans = planner(dataset(train=100 if part == "gmm" else 60_000), overrides={part: {key: count}})
    assert part in line(lambda: plans.training(method, 0))


def test_settings_are_read_as_people_write_numbers():
    texts = [
        "a.b=.1",
        "a.c=1e-1",
        "a.d=010",
        "a.e=null",
        "a.f=None",
        "a.g=true",
        "a.h=[0.5, 1]",
        "a.i='x y'",
        "a.j=infogan",
    ]
    found = parse_overrides(texts)["a"]
    assert found == {
        "b": 0.1,
        "c": 0.1,
        "d": 10,
        "e": None,
        "f": None,
        "g": True,
        "h": [0.5, 1],
        "i": "x y",
        "j": "infogan",
    }
    assert by_part([("a.b", 1), ("a.b", 1)]) == {"a": {"b": 1}}
    assert "given twice" in line(lambda: parse_overrides(["a.b=1", "a.b=2"]))
    for wrong in ("a", "a=1", ".b=1", "a.=1", "=1", " .b=1", ""):
        assert "is not of the form NAME.KEY=VALUE" in line(lambda wrong=wrong: parse_overrides([wrong]))


def test_true_is_no_number_whoever_gives_it():
    class Given(Config):
        count: int = 1
        rate: float | None = None
        both: bool | int = 1
        pair: tuple[float, float] = (0.0, 1.0)

    for values in ({"count": True}, {"rate": False}, {"pair": [True, 1.0]}):
        assert "allowed: a number" in line(lambda values=values: Given.build(values, "own"))
    assert Given.build({"both": True}, "own").both is True


NUMBERS = {
    "seeds": [[-1], [SEEDS + 1], [10**30], [1.5], ["0"], [True], [None], [], 3, "0 1"],
    "threads": [0, -3, 10**9, 1.0, True, "2", float("nan")],
    "devices_per_run": [0, -2, 10**4, 1.0, True, "2"],
    "workers": [0, -1, -3, 10**6, 2.5, "all"],
    "gpus": [-1, 10**6, 0.5, "0"],
    "subset": [1.5, "half", True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NUMBERS.items() for value in values])
def test_a_request_refuses_a_number_of_another_type_or_range(name, value):
    said = line(lambda: Request("digits", **{name: value}))
    assert "allowed: " in said or "none is given" in said


def test_the_ends_of_a_range_belong_to_it():
    assert Request("digits", seeds=[0, SEEDS, np.int64(3)]).seeds == [0, SEEDS, 3]
    assert within("n", 5, 5, 5) == 5
    assert line(lambda: within("n", 7, 1, 5)).endswith("nearest: 5")


@pytest.mark.parametrize(
    "text", ["²", "1e30", "-1", "1.5", "٣", "0x1", "1_0", "4294967296", "9" * 5000, "", " ", ",", "+1"]
)
def test_seeds_are_whole_numbers_in_plain_digits(text):
    assert "allowed: whole numbers from 0 to 4294967295" in line(lambda: numbers(text))


def test_what_is_named_twice_is_one_run_and_said_so(capsys):
    request = Options(methods="glo glo,pca", seeds="0 00 1").request()
    assert (request.methods, request.seeds) == (["glo", "pca"], [0, 1])
    assert capsys.readouterr().err.splitlines() == [
        "method glo is given more than once: it is one run",
        "seed 0 is given more than once: it is one run",
    ]
    assert Request("digits", ["pca", "pca"], [1, 1]).methods == ["pca"]


def test_capitals_are_offered_the_right_name():
    assert nearest("GLDO", ["glo", "gldo", "vae"]) == "; nearest: gldo"
    assert nearest("MNIST", ["mnist", "mnist5k"]) == "; nearest: mnist"
    assert nearest("infoGAN", ["InfoGan"]) == "; nearest: InfoGan"
    assert "nearest: vae" in line(lambda: choose("method", "VAE", ["vae", "ae"]))


@pytest.mark.parametrize(
    "name",
    [
        "dcgan+gaussian",
        "ae_ot_gan+gmm",
        "ae_ot_sd+gaussian",
        "+",
        "glo+",
        "+sdot",
        "GLO+sdot",
        "glo+SDOT",
        "glo+sdot+sdot",
        "",
        " ",
        "glo ",
        "../glo",
        "/etc/passwd",
        "glo\n",
    ],
)
def test_what_is_no_method_is_one_line(name):
    assert "allowed: " in line(lambda: Catalog().recipe(name))


def test_an_adversary_is_no_representation():
    assert "representation 'dcgan' is none, it is end_to_end; allowed: ae, gldo" in line(
        lambda: Catalog().recipe("dcgan+gaussian")
    )


def test_a_line_holds_no_control_characters():
    assert one_line("a\nb\t\x1b[31m\udcff\u2028é") == "a b \\x1b[31m\\udcff é"
    assert str(InputError("a\nb")) == "a b"


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "pca", "--n", "0"],
        ["sample", "pca", "--n", "100000000"],
        ["sample", "pca", "--n", "many"],
        ["reconstruct", "pca", "--steps", "0"],
        ["reconstruct", "pca", "--steps", "1e9"],
        ["reconstruct", "pca", "--n=-1"],
        ["interpolate", "pca", "--rows", "0"],
        ["interpolate", "pca", "--steps", "1"],
        ["interpolate", "pca", "--rows", "9999999"],
        ["quality", "pca"],
        ["quality", "pca", "--images", ".", "--level", "2"],
        ["quality", "pca", "--images", ".", "--level", "nan"],
        ["train", "pca", "--seed", "²"],
        ["train", "pca", "--seed", "-1"],
        ["train", "pca", "--threads", "0"],
        ["bench", "--workers", "-1"],
        ["bench", "--workers", "0"],
        ["bench", "--gpus", "-1"],
        ["bench", "--subset", "-5"],
        ["bench", "--seeds", "1e30"],
        ["bench", "--seeds", ""],
        ["bench", "--set", "pca.components=["],
        ["bench", "--nothing"],
        ["bench", "--methods", "pca", "--set", "vae.lr=1"],
        ["bench", "--methods", "PCA"],
        ["bench", "--budget", "CI"],
        ["bench", "--evaluator", "/etc/passwd"],
        ["bench", "--inception-weights", ""],
        ["bench", "--inception-weights", "."],
        ["bench", "--weights", "none.pth"],
        ["bench", "--weights", "mnist=."],
        ["bench", "--evaluator", "mnist,digits", "--weights", "mnist.safetensors"],
        ["bench", "--evaluator", "mnist", "--weights", "digits=mnist.safetensors"],
        ["bench", "--evaluator", "mnist", "--weights", "a.pth", "--weights", "b.pth"],
        ["bench", "--evaluator", "mnist", "--evaluator", "inceptoin"],
        ["score", "nowhere"],
        ["score", "nowhere.npz"],
        ["score", ".", "--name", "pca"],
        ["score", ".", "--name", "a/b"],
        ["score", ".", "--dataset", "ring8"],
        ["bench", "--stop", "now"],
        ["bench", "--methods"],
        ["bnch"],
        ["show", "pca", "--dataset", "../digits"],
        ["table", "../../x"],
        ["train-evaluator", "../x"],
        ["prepare", "a/b", "--source", "."],
        ["train"],
        ["train", "pca", "vae"],
        ["bench", "--plugin", "."],
        ["bench", "--plugin", "/nowhere.py"],
    ],
)
def test_a_command_refuses_it_in_one_line_and_leaves_nothing(words, monkeypatch, capsys, place):
    where = HERE if words[0] in ("bench", "train", "sample", "reconstruct", "interpolate", "quality", "score") else []
    monkeypatch.setattr(Local, "run", lambda *_: pytest.fail("work has started"))
    code, said = run(monkeypatch, capsys, words[0], *where, *words[1:])
    assert (code, said.err.count("\n"), said.out) == (2, 1, ""), said.err
    assert said.err.startswith("latent-ot: ")
    assert not list(place.glob("runs/stages/*"))


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "name", ["COLUMNS", "LINES", "TERMINAL_WIDTH", "LATENT_OT_DATA", "WANDB_MODE", "NO_COLOR", "TERM", "TORCH_HOME"]
)
@pytest.mark.parametrize("value", ["²", "/dev/null/x", "\x1b["])
def test_an_environment_variable_of_any_value_is_no_traceback(name, value, monkeypatch, capsys, place):
    monkeypatch.setenv(name, value)
    assert run(monkeypatch, capsys, "table", "--help")[0] == 0
    code, said = run(monkeypatch, capsys, "train", "nothing", "--dataset", "moons")
    assert code == 2
    assert said.err.startswith("latent-ot: ")


def test_a_run_that_diverged_or_failed_is_said_so(tmp_path):
    store, stage = Store(tmp_path), planner().training("pca", 0).stages[0]
    check_end(store, stage)
    folder = store.folder(stage.name)
    folder.mkdir(parents=True)
    (folder / "failed.json").write_text(json.dumps({"reason": "RuntimeError: no\nluck"}))
    with pytest.raises(RunFailed, match=r"pca s0 failed: RuntimeError: no luck; see .*log\.txt"):
        check_end(store, stage)
    (folder / "result.json").write_text(json.dumps({"status": "diverged", "reason": "loss = nan at step 3"}))
    with pytest.raises(RunFailed, match=r"pca s0 diverged: loss = nan at step 3; --force pca trains it again"):
        check_end(store, stage)


@pytest.mark.parametrize(
    "words", [["train"], ["sample"], ["reconstruct"], ["interpolate"], ["quality", "--images", "."]]
)
def test_commands_of_a_run_that_diverged_say_so_and_end_with_1(words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    benchmark = Benchmark(Request("digits", ["vae"], budget="smoke"))
    stages = benchmark.planner.training("vae", 0).stages
    folder = benchmark.store.folder(stages[0].name)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"status": "diverged", "reason": "loss = nan at step 3"}))
    monkeypatch.setattr(
        Benchmark, "run", lambda self, plans: {s.name: ("diverged", "loss = nan at step 3") for s in stages}
    )
    code, said = run(monkeypatch, capsys, words[0], "vae", *words[1:], *HERE)
    assert code == 1
    assert "diverged" in said.err
    assert "loss = nan at step 3" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "given",
    [
        {"seed": "0"},
        {"seed": 1.5},
        {"seed": True},
        {"subset": 0},
        {"threads": "2"},
        {"gpus": -1},
        {"settings": "pca.lr=1"},
        {"settings": {"pca": 1}},
        {"settings": {"pca.components": True}},
        {"settings": {"pca.components": float("nan")}},
        {"settings": {"pca.components": [3]}},
        {"settings": {"pca.components": object()}},
        {"budget": "CI"},
    ],
)
def test_python_refuses_the_same(given, tmp_path):
    line(
        lambda: lo.train(
            "pca", dataset="digits", data_dir=tmp_path, store=tmp_path / "runs", **{"budget": "smoke", **given}
        )
    )
    assert not list(tmp_path.glob("runs/stages/*"))
