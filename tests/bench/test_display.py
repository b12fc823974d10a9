"""The display says of each running stage how fast it is and how long it will take, and counts all stages."""

import io

from rich.console import Console

from latent_ot.bench import display


def test_the_total_stands_below_the_running_stages():
    console = Console(file=io.StringIO(), force_terminal=True, width=110)
    live = display.Live(3, console)
    live.start("a", "glo s0")
    live.start("b", "vae s0")
    live.update("a", {"done": 640, "total": 6400, "rate": 512.0, "loss": 0.25})
    assert [task.description for task in live.progress.tasks] == ["glo s0", "vae s0", "stages"]
    assert live.progress.tasks[0].fields["detail"] == "512 img/s  loss 0.25"
    live.end("a", "done", None)
    assert [task.description for task in live.progress.tasks] == ["vae s0", "stages"]
    assert live.progress.tasks[-1].completed == 1
    live.close()


def test_plain_lines_give_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    plain = display.Plain(2)
    plain.start("a", "glo s0")
    plain.update("a", {"done": 640, "total": 6400, "rate": 64.0, "loss": 0.25})
    plain.end("a", "diverged", "loss = nan")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == "glo s0 640/6,400 64 img/s loss 0.25, 1:30 left".split()  # noqa: SIM905
    assert lines[1] == "[1/2] glo s0 diverged in 0:00: loss = nan"


def test_hours_are_shown_from_one_hour_on():
    assert [display.clock(s) for s in (5, 65, 3605)] == ["0:05", "1:05", "1:00:05"]


def test_a_command_run_from_a_notebooks_cell_has_lines_though_it_is_given_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    live = display.display(1)
    live.close()
    assert isinstance(live, display.Live)
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert isinstance(display.display(1), display.Plain)
