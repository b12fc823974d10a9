"""One progress display for a whole benchmark, on stderr: a live table on a terminal, plain lines anywhere else.

Under a notebook's cell it is one output that is replaced, which needs no widgets.
"""

import html
import io
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from latent_ot.terminal import can_draw, clock

LINE_SECONDS = 15.0
CELL_SECONDS, CELL_WIDTH = 0.25, 100  # between replacements of a notebook's output, and its characters


class Display(Protocol):
    """What the executor tells of its stages."""

    def start(self, name: str, label: str) -> None:
        """A worker began with a stage."""

    def update(self, name: str, state: dict[str, Any]) -> None:
        """A stage reports: done and total images, rate in images/s, last loss."""

    def end(self, name: str, status: str, reason: str | None) -> None:
        """A stage ended: done, reused, diverged, failed, stopped."""

    def say(self, line: str) -> None:
        """Something else is to be said, in a line that stays."""

    def close(self) -> None:
        """The benchmark is over."""


def _detail(state: dict[str, Any]) -> str:
    rate, loss = state.get("rate"), state.get("loss")
    return "  ".join(
        part for part in (f"{rate:,.0f} img/s" if rate else "", f"loss {loss:.4g}" if loss is not None else "") if part
    )


class Fitting(Progress):
    """Rows of whole columns: those that a narrow terminal has no room for are left out, and a line says which."""

    NAMES = ("name", "bar", "count", "time left", "rate and loss")
    BEFORE = (0, 2, 4, 3, 1)
    """Columns in the order of their weight."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self.on = console  # drawn once while the base class is made, before it has a console
        super().__init__(*columns, console=console)

    def _chosen(self, tasks: Sequence[Task]) -> list[int]:
        chosen, room = [0], self.on.width
        for place in self.BEFORE:
            cells = [column(task) for column in [self.columns[place]] for task in tasks if not isinstance(column, str)]
            wide = max((Measurement.get(self.on, self.on.options, cell).maximum for cell in cells), default=0)
            if place and wide + 1 > room:
                break
            chosen, room = sorted({*chosen, place}), room - wide - 1
        return chosen

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Return the rows of the tasks, a name that is wider than the terminal on several lines."""
        seen = [task for task in tasks if task.visible]
        chosen, table = self._chosen(seen), Table.grid(padding=(0, 1))
        for place in chosen:
            table.add_column(no_wrap=place > 0, overflow="fold")
        for task in seen:
            table.add_row(*(column(task) for place in chosen if not isinstance(column := self.columns[place], str)))
        return table

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the rows, and what is left out of them."""
        yield self.make_tasks_table(self.tasks)
        left = [name for place, name in enumerate(self.NAMES) if place not in self._chosen(self.tasks)]
        if left:
            yield Text(f"left out in {self.on.width} columns: {', '.join(left)}", overflow="fold")


class Live:
    """A row per running stage and a total at the bottom."""

    def __init__(self, total: int, console: Console) -> None:
        self.progress = Fitting(
            TextColumn("{task.description:<28}" if console.width >= 80 else "{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
        )
        self.rows: dict[str, TaskID] = {}
        self.labels: dict[str, str] = {}
        self.began: dict[str, float] = {}
        self.stages, self.ended = total, 0
        self.total = self.progress.add_task("stages", total=total, detail="")
        self.progress.start()

    def start(self, name: str, label: str) -> None:
        """Add a row above the total."""
        self.labels[name], self.began[name] = label, time.monotonic()
        self.rows[name] = self.progress.add_task(label, total=None, detail="starting")
        self.progress.remove_task(self.total)  # rows stand in the order of their making, and the total stands last
        self.total = self.progress.add_task("stages", total=self.stages, completed=self.ended, detail="")

    def update(self, name: str, state: dict[str, Any]) -> None:
        """Move the stage's bar."""
        self.progress.update(
            self.rows[name], completed=state.get("done", 0), total=state.get("total"), detail=_detail(state)
        )

    def end(self, name: str, status: str, reason: str | None) -> None:
        """Remove the row, leave a line, advance the total."""
        if name in self.rows:
            self.progress.remove_task(self.rows.pop(name))
        if status not in ("reused", "waiting", "skipped"):
            took = clock(time.monotonic() - self.began.pop(name, time.monotonic()))
            self.say(f"{self.labels.get(name, name):<28} {status} in {took}" + _why(reason))
        if status not in ("stopped", "waiting"):
            self.ended += 1
            self.progress.update(self.total, completed=self.ended)

    def say(self, line: str) -> None:
        """Leave a line above the rows."""
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.progress.stop()


class Notebook(Live):
    """The same rows as one output under a notebook's cell, below a line for each stage that ended."""

    def __init__(self, total: int) -> None:
        self.handle: Any = None
        self.shown, self.lines = 0.0, list[str]()
        super().__init__(total, Console(file=io.StringIO(), width=CELL_WIDTH, force_jupyter=False, color_system=None))
        self.progress.stop()  # nobody reads the file: rows are drawn when they change

    def update(self, name: str, state: dict[str, Any]) -> None:
        """Move the stage's bar."""
        super().update(name, state)
        self._show()

    def end(self, name: str, status: str, reason: str | None) -> None:
        """Remove the row, leave a line, advance the total."""
        super().end(name, status, reason)
        self._show(now=True)

    def say(self, line: str) -> None:
        """Leave a line above the rows."""
        self.lines.append(line)

    def close(self) -> None:
        """Leave what was said, and how many stages there were."""
        self._show(now=True)

    def _show(self, now: bool = False) -> None:
        """Draw the output, or draw it anew if the last time is long enough ago."""
        from IPython.display import display as output

        if not now and time.monotonic() - self.shown < CELL_SECONDS:
            return
        self.shown, console = time.monotonic(), self.progress.console
        with console.capture() as rows:
            console.print(self.progress.get_renderable())
        text = "\n".join([*self.lines, *(line.rstrip() for line in rows.get().splitlines())])
        drawn = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self.handle is None:
            self.handle = output(drawn, raw=True, display_id=True)
        else:
            self.handle.update(drawn, raw=True)


class Plain:
    """Lines for logs: a stage's start is silent, it reports every quarter of a minute, and its end."""

    def __init__(self, total: int) -> None:
        self.total, self.ended = total, 0
        self.labels: dict[str, str] = {}
        self.began: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def start(self, name: str, label: str) -> None:
        """Remember when the stage began."""
        self.labels[name] = label
        self.began[name] = self.last[name] = time.monotonic()

    def update(self, name: str, state: dict[str, Any]) -> None:
        """Print a line when the last one is long enough ago."""
        now = time.monotonic()
        if now - self.last[name] < LINE_SECONDS or not state.get("total"):
            return
        self.last[name] = now
        done, total, rate = state["done"], state["total"], state.get("rate") or 0.0
        left = f", {clock((total - done) / rate)} left" if rate else ""
        self.say(f"{self.labels[name]:<28} {done:,}/{total:,}  {_detail(state)}{left}")

    def end(self, name: str, status: str, reason: str | None) -> None:
        """Print how the stage ended and how many are left."""
        if status not in ("stopped", "waiting"):
            self.ended += 1
        if status not in ("reused", "waiting", "skipped"):
            took = clock(time.monotonic() - self.began.get(name, time.monotonic()))
            self.say(f"[{self.ended}/{self.total}] {self.labels.get(name, name)} {status} in {took}{_why(reason)}")

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is held."""


def _why(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def display(total: int) -> Display:
    """Return the display that fits stderr."""
    console = Console(stderr=True)
    if console.is_jupyter:
        return Notebook(total)
    return Live(total, console) if can_draw(sys.stderr) else Plain(total)
