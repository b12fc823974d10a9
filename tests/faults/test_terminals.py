"""Narrow terminals, few letters, readers that go: no crash, no digit or name cut, no control characters in pipes."""

import contextlib
import io
import os
import re
import sys

import pytest
from rich.console import Console

from latent_ot import cli
from latent_ot.bench import display
from latent_ot.errors import StoreError
from latent_ot.report.text import Cell, Column, Grid, show
from latent_ot.terminal import PLAIN, can_draw, fits, streams

NAMES = ("ae_ot_sd", "ae_ot_kp", "ae_ot_kp[potential.layers=3]", "gldo+kmeans_gauss")
HEADS = ("FID ↓", "KID ×1000 ↓", "F8 ↑", "PSNR ↑", "seconds", "images seen", "generator updates")
NUMBERS = [f"{229.123 + i:.3f} ± 0.4{i}2" for i in range(len(HEADS))]
ENCODINGS = ("ascii", "cp1252", "latin-1", "cp437", "utf-8")


@pytest.fixture
def grid():
    rows = [
        (Cell.of(str(i)), Cell.of(name), *(Cell.of(number) for number in NUMBERS)) for i, name in enumerate(NAMES, 1)
    ]
    columns = (Column("rank", "#"), Column("method", "method", right=False), *(Column(head, head) for head in HEADS))
    return Grid("mnist5k, budget ci", columns, tuple(rows), ("protocol mnist5k/mnist-65599bb7/n1000",), ("‡ a note",))


class Stream(io.TextIOWrapper):
    """A terminal, or a pipe, of an encoding; ``text`` is what it shows."""

    def __init__(self, encoding="utf-8", terminal=False):
        super().__init__(io.BytesIO(), encoding=encoding, errors="latent_ot", newline="")
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    @property
    def text(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def terminal(monkeypatch):
    """Make a terminal: ``terminal(columns, TERM, encoding)``."""

    def make(columns, term="xterm-256color", encoding="utf-8", **environment):
        for name in ("JPY_PARENT_PID", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"COLUMNS": str(columns), "TERM": term, **environment}.items():
            monkeypatch.setenv(name, value)
        return Stream(encoding, terminal=True)

    return make


def bare(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("term", ["xterm-256color", "dumb", "unknown"])
@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 240])
def test_a_table_has_whole_names_and_figures_or_says_what_is_left_out(columns, term, encoding, grid, terminal):
    stream = terminal(columns, term, encoding)
    show([grid], stream)
    text = bare(stream.text)
    for name in NAMES:
        assert name in text
    shown = [head for head, number in zip(HEADS, NUMBERS, strict=True) if fits(number, stream) in text]
    left = re.search(r"left out in \d+ columns: (.*?);", " ".join(text.split()), re.DOTALL)
    told = left[1].split(", ") if left else []
    assert [fits(head, stream).replace("\xa0", " ") for head in HEADS] == [
        *(fits(head, stream) for head in shown), *(head.replace("\xa0", " ") for head in told),
    ]  # fmt: skip
    assert shown
    assert "~" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= max(columns, 40)


def test_a_terminal_without_colours_gets_none(grid, terminal):
    show([grid], stream := terminal(200, NO_COLOR="1"))
    assert not re.search(r"\x1b\[[0-9;]*3\dm", stream.text)
    show([grid], stream := terminal(200, "dumb"))
    assert "\x1b" not in stream.text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pipe_gets_no_control_characters_in_any_encoding(encoding, grid):
    show([grid], stream := Stream(encoding))
    assert stream.text.replace("\n", "").isprintable()
    assert len({len(line) for line in stream.text.splitlines()[3:5]}) == 1, "it is aligned"


def test_signs_that_mean_different_things_stay_different():
    marks = [chr(code) for code in PLAIN if chr(code) in "†‡§¶‖"]
    assert len({PLAIN[ord(mark)] for mark in marks}) == len(marks) == 5
    assert "*" not in [PLAIN[ord(mark)] for mark in marks]
    assert all(text.isascii() for text in PLAIN.values())


@pytest.mark.parametrize("columns", [12, 20, 40, 60, 80, 120])
def test_progress_shows_whole_columns(columns):
    console = Console(file=io.StringIO(), force_terminal=True, width=columns, color_system=None)
    live = display.Live(3, console)
    live.progress.stop()
    live.start("a", "gldo+kmeans_gauss-evaluate s0")
    live.start("b", "[bold]ae[/] s0")
    live.update("a", {"done": 640, "total": 6400, "rate": 512.0, "loss": 0.25})
    with console.capture() as seen:
        console.print(live.progress.get_renderable())
    lines = seen.get().splitlines()
    text = "".join(line.rstrip() for line in lines)
    assert max(map(len, lines)) <= columns
    assert "…" not in text
    assert ("512 img/s  loss 0.25" in text) != ("rate and loss" in " ".join(text.split()) or columns < 40)
    if columns >= 40:
        assert "gldo+kmeans_gauss-evaluate s0" in text
        assert "640/6400" in text
        assert "[bold]ae[/] s0" in text


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", terminal(80, "dumb"))
    assert isinstance(display.display(1), display.Plain)
    assert not can_draw(sys.stderr)
    monkeypatch.setattr(sys, "stderr", terminal(80))
    (live := display.display(1)).close()
    assert isinstance(live, display.Live)


@contextlib.contextmanager
def pipe(monkeypatch, name, reads):
    """Put a pipe in the place of a stream, whose reader goes after so many bytes."""
    back, front = os.pipe()
    stream = os.fdopen(front, "w", encoding="utf-8", buffering=1)
    monkeypatch.setattr(sys, name, stream)
    if not reads:
        os.close(back)
    yield stream
    monkeypatch.undo()
    if reads:
        os.close(back)
    with contextlib.suppress(OSError):
        stream.close()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_that_has_gone_is_no_fault(name, monkeypatch):
    with pipe(monkeypatch, name, reads=0), streams():
        for _ in range(1000):
            print("x" * 1000, file=getattr(sys, name))
        getattr(sys, name).flush()


def test_a_command_whose_reader_has_gone_ends_as_it_would_have(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["latent-ot", "table", "--all"])
    with pipe(monkeypatch, "stdout", reads=0), pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_disk_that_is_full_is_the_machines_fault(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["latent-ot", "table", "gldo-table1"])
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 3
    assert capsys.readouterr().err == "latent-ot: output cannot be written: No space left on device\n"
    assert issubclass(StoreError, Exception)


@pytest.mark.parametrize("gone", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_closed_streams_are_no_fault(gone, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in gone:
        monkeypatch.setattr(sys, name, None)
    for words, code in ((["table", "gldo-table1"], 0), (["table", "nothing"], 2)):
        monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert (end.value.code or 0) == code


@pytest.mark.one_quick
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "words",
    [
        ["table", "gldo-table1"],
        ["table", "gldo-table1", "--format", "json"],
        ["table", "gldo-table1", "--format", "latex"],
        ["claims"],
        ["list"],
        ["bench", "--help"],
        ["show", "é✓"],
    ],
)
def test_every_command_writes_in_the_letters_that_there_are(words, encoding, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    out, err = Stream(encoding), Stream(encoding)
    for name, stream in (("stdout", out), ("stderr", err)):
        stream.reconfigure(errors="strict")
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, 2, None)
    for stream in (out, err):
        assert stream.text.replace("\n", "").isprintable()
