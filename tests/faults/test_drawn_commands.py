"""Drawn commands, right and wrong: no traceback, an exit code that is documented, nothing left half-written.

What is valid really runs, on the smallest budget; stages run in this process in place of one of their own.
"""

import itertools
import json
import logging
import os
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from latent_ot import cli
from latent_ot.bench import worker
from latent_ot.bench.executors.local import Local
from latent_ot.published import table_names

CODES = {0, 1, 2, 3, 130}
RUN = ["--dataset", "digits", "--budget", "smoke"]


class Nobody:
    """The end of a pipe that remembers how the stage ended."""

    def __init__(self):
        self.end = {"end": "failed"}

    def send(self, message):
        self.end = message if "end" in message else self.end


def here(self, stages, display):
    """Run stages one by one in this process, in the place of ``Local.run``."""
    ends = {}
    for stage in stages:
        kept = self.store.result(stage.name)
        lacking = [ends[name] for name in stage.inputs if ends[name][0] not in ("done", "reused")]
        if kept is not None:
            ends[stage.name] = ("reused" if kept["status"] == "done" else kept["status"], kept.get("reason"))
        elif lacking:
            ends[stage.name] = lacking[0]
        else:
            display.start(stage.name, stage.label)
            worker.main(self.order(stage, ("cpu",)), pipe := Nobody())
            logging.getLogger().handlers.clear()  # it wrote into the stage's own log, which is closed by now
            ends[stage.name] = (pipe.end["end"], pipe.end.get("reason"))
            display.end(stage.name, *ends[stage.name])
    return ends


@contextmanager
def as_before():
    """Give back what a command, or a stage in this process, sets for its own."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, worker.STOP)}
    place, argv = Path.cwd(), sys.argv
    try:
        yield
    finally:
        os.chdir(place)
        sys.argv = argv
        logging.getLogger().handlers.clear()
        for number, handler in kept.items():
            signal.signal(number, handler)


def run(words, capsys):
    """Run a command; return its exit code and what it wrote on stderr."""
    sys.argv = ["latent-ot", *words]
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0, capsys.readouterr().err


def of(*parts):
    """Draw a command whose words are given, or drawn."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*drawn).map(lambda words: [*map(str, words), *([] if words[0] in READERS else RUN)])


READERS = ("list", "claims", "leaderboard", "table", "show", "--help", "bench")
METHOD = st.sampled_from(["pca", "pca+gmm"])
FORM = st.sampled_from(["text", "md", "csv", "latex", "json"])
RIGHT = [  # of enough different words: none is drawn twice
    of("list"),
    of("list", "--json"),
    of("claims"),
    of("claims", "--json"),
    of("leaderboard"),
    of("--help"),
    of("bench", "--help"),
    of("table", st.sampled_from(table_names()), "--format", FORM),
    of("show", st.sampled_from(["pca", "points", "gmm", "gaussian"]), "--dataset", st.sampled_from(["moons", "ring8"])),
    of("train", "pca", "--set", st.integers(1, 9).map("pca.components={}".format)),
    of("sample", METHOD, "--n", st.integers(1, 60)),
    of("reconstruct", METHOD, "--n", st.integers(1, 16), "--steps", st.integers(1, 9)),
    of("interpolate", METHOD, "--rows", st.integers(1, 8), "--steps", st.integers(2, 9)),
]
LONG = [
    of("table", "--all", "--dataset", st.sampled_from(["mnist5k", "cifar10", "moons"]), "--format", FORM),
    of("train", "pca+gmm", "--set", st.integers(1, 32).map("gmm.components={}".format)),
]
HEAVY = [
    ["evaluate", "pca", "--json", *RUN],
    ["bench", "--methods", "pca", *RUN],
    ["bench", "--methods", "pca pca", "--seeds", "0 0", *RUN],
    ["doctor"],
    ["bench", "--methods", "pca,pca+gmm", "--seeds", "1", *RUN],
    ["train", "points+gmm", "--dataset", "moons", "--budget", "smoke"],
    ["bench", "--methods", "vae", "--set", "vae.lr=1e-3", *RUN],
    ["grid", "--representations", "pca", "--samplers", "gaussian gmm", *RUN],
    ["bench", "--methods", "pca", "--threads", "2", "--workers", "1", *RUN],
    ["bench", "--methods", "pca", "--subset", "50", *RUN],
]
ODD = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "0",
            "-1",
            "-3",
            "1e30",
            "²",
            "nan",
            "inf",
            "[",
            "{a: 1}",
            "true",
            "null",
            "None",
            "GLDO",
            "MNIST",
            "../x",
            "/etc/passwd",
            "a/b",
            "dcgan+gaussian",
            "pca+",
            "+",
            "glo glo",
            "0 0",
            "folder:",
            "folder:/nowhere@-3",
            "é",
            "\n",
            "\x1b[31m",
            "'",
            '"',
            "--",
            "99999999999999999999",
            "1:30",
            "0x10",
            "pca.components=[",
            "pca.components=true",
            "pca.components=1e9",
            "vae.lr=nan",
            "pca=1",
            ".=",
            "pca.components=²",
        ]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
)
OPTIONS = [
    "--dataset",
    "--methods",
    "--seeds",
    "--seed",
    "--budget",
    "--subset",
    "--data-dir",
    "--set",
    "--plugin",
    "--evaluator",
    "--gpus",
    "--workers",
    "--threads",
    "--force",
    "--n",
    "--steps",
    "--rows",
    "--format",
    "--stop",
    "--inception-weights",
    "--weights",
    "--name",
    "--track",
    "--time-limit",
    "--wandb-project",
    "--images",
    "--level",
    "--nothing",
]


@st.composite
def commands(draw, right):
    """Draw a command that is right, or one with a word or an option that is not."""
    words = list(draw(st.one_of(right)))
    how = draw(st.sampled_from([*["right"] * 4, "option", "option", "word", "twice"]))
    if how == "option":
        words += [draw(st.sampled_from(OPTIONS)), draw(ODD)]
    elif how == "word":
        words[draw(st.integers(0, len(words) - 1))] = draw(ODD)
    elif how == "twice":
        words += words[1:]
    assume(all(value.strip(" ,") for name, value in itertools.pairwise(words) if name in ("--methods", "--dataset")))
    return words


def check(words, capsys, seen):
    before = set(Path("runs").glob("stages/*"))
    code, err = run(words, capsys)
    assert code in CODES, (words, code, err)
    assert "Traceback" not in err, (words, err)
    if code in (2, 3):
        last = err.splitlines()[-1]
        assert last.startswith("latent-ot: "), (words, err)
        assert last.isprintable(), (words, err)
        assert set(Path("runs").glob("stages/*")) == before, words
    for path in Path().rglob("*"):
        assert not path.name.endswith((".part", ".tmp")), (words, path)
        if path.suffix == ".json" and path.stat().st_mtime_ns > seen["at"]:
            json.loads(path.read_text(encoding="utf-8"))
            seen["at"] = max(seen["at"], path.stat().st_mtime_ns)
    seen["codes"][code] += 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with one finished run, in which commands run their stages in this process."""
    monkeypatch.setattr(Local, "run", here)
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with as_before():
        os.chdir(tmp_path)
        yield tmp_path


def drawn(place, capsys, count, right):
    seen = {"at": 0, "codes": Counter()}
    assert run(["train", "pca", *RUN], capsys)[0] == 0
    assert run(["train", "pca+gmm", *RUN], capsys)[0] == 0
    phases = (Phase.explicit, Phase.generate)  # shrinking would run for minutes: the words are in the message

    @settings(max_examples=count, phases=phases, suppress_health_check=list(HealthCheck))
    @given(commands(right))
    def any_command(words):
        check(words, capsys, seen)

    any_command()
    total = seen["codes"].total()
    assert total >= 0.9 * count
    assert 3 * seen["codes"][0] >= total, seen["codes"]
    assert seen["codes"][2] > 0


def test_a_hundred_drawn_commands(place, capsys):
    drawn(place, capsys, 100, RIGHT)


@pytest.mark.slow
def test_a_thousand_drawn_commands(place, capsys):
    drawn(place, capsys, 1000, [*RIGHT, *LONG, st.sampled_from(HEAVY)])
