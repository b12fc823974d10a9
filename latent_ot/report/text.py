"""One table, five forms: a ``Grid`` of header, columns, rows and notes as text, Markdown, CSV, JSON or LaTeX."""

import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import pandas as pd

from latent_ot.errors import choose
from latent_ot.report.groups import DAGGER, UNSETTLED, outdated, signs, unique, unsettled
from latent_ot.terminal import is_terminal

if TYPE_CHECKING:
    from rich.table import Table

    from latent_ot.record import Record


@dataclass(frozen=True)
class Cell:
    """``text`` is what a reader sees, with ``before`` in front of it and outside the mark that ``best`` sets.

    ``data`` is what a program reads: name -> value, where the empty name stands for the column's own. ``rests`` are
    the records that it rests on and ``keys`` the quantities that were read from them: see ``groups.signs``.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    best: bool = False
    before: str = ""
    rests: "tuple[Record, ...]" = ()
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Cell":
        """Return a cell whose text is its value."""
        return cls(text, {"": text})

    @property
    def signs(self) -> str:
        """The marks of the records that it rests on."""
        return signs(self.rests, self.keys)

    def marked(self, escape: Callable[[str], str], bold: str, raised: Callable[[str], str] = str) -> str:
        """Return the cell as a form writes it: ``bold`` is the pattern of what is best, ``raised`` writes its marks."""
        text = escape(self.text)
        return escape(self.before) + (bold.format(text) if self.best else text) + raised(self.signs)


@dataclass(frozen=True)
class Column:
    """``key`` is the column's name for programs, ``head`` for readers; numbers stand to the right."""

    key: str
    head: str
    right: bool = True


@dataclass(frozen=True)
class Grid:
    """A table. ``best`` says what the mark on a cell means; it is printed only if a cell bears the mark.

    ``id``: of the published table that it shows, for programs.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    header: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    best: str = "best, or tied with it"
    id: str | None = None

    def legend(self, mark: str) -> tuple[str, ...]:
        """Return what ``mark`` means, if a cell bears it."""
        return (f"{mark} {self.best}",) if any(cell.best for row in self.rows for cell in row) else ()

    @property
    def rests(self) -> "list[Record]":
        """The records that its cells rest on."""
        return _rests(itertools.chain(*self.rows))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why cells bear marks, one line a reason, and the notes."""
        old = [f"{DAGGER}: {line}" for line in outdated(self.rests)]
        rising = [f"{UNSETTLED}: {line}" for line in unsettled(_rising(itertools.chain(*self.rows)), self.rests)]
        return (*old, *rising, *self.notes)

    def flat(self) -> pd.DataFrame:
        """Return the table as programs read it; what a row lacks is None.

        Where rows rest on records, the column ``outdated`` has the reasons why some of these are, else None, and where
        it would have any, ``unsettled`` says whose search for codes has not converged.
        """
        rows: list[dict[str, Any]] = []
        for cells in self.rows:
            parts = ((column.key, cell.data) for column, cell in zip(self.columns, cells, strict=True))
            rows.append({f"{key}_{sub}" if sub else key: value for key, data in parts for sub, value in data.items()})
        if every := self.rests:
            for row, cells in zip(rows, self.rows, strict=True):
                row["outdated"] = "; ".join(outdated(_rests(cells), every)) or None
                if _rising(itertools.chain(*self.rows)):
                    row["unsettled"] = "; ".join(unsettled(_rising(cells), every)) or None
        names = sorted(dict.fromkeys(itertools.chain(*rows)), key=("outdated", "unsettled").__contains__)
        table = pd.DataFrame(rows, columns=names, dtype=object)
        return table.where(table.notna(), None)


def _rising(cells: "Iterable[Cell]") -> "list[Record]":
    """Return the records by which cells bear the mark of a search that has not converged."""
    return unique(r for cell in cells if UNSETTLED in cell.signs for r in cell.rests if r.unsettled)


def _rests(cells: "Iterable[Cell]") -> "list[Record]":
    return unique(record for cell in cells for record in cell.rests)


def to_text(grid: Grid) -> str:
    """Return aligned plain text; ``*`` marks the best."""
    marks = [["*" * c.best + c.signs for c in row] for row in grid.rows]
    room = [max(map(len, column)) for column in zip(*marks, strict=True)]  # keeps numbers aligned
    body = [
        [c.before + c.text + mark.ljust(width) for c, mark, width in zip(row, line, room, strict=True)]
        for row, line in zip(grid.rows, marks, strict=True)
    ]
    lines = [[column.head for column in grid.columns], *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    sides = ["<>"[column.right] for column in grid.columns]
    laid = [
        "  ".join(f"{text:{side}{width}}" for text, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    ]
    notes = [_wrap(note) for note in (*grid.legend("*"), *grid.remarks)]
    return "\n".join([*map(_wrap, (grid.title, *grid.header)), "", *laid, *([""] if notes else []), *notes]) + "\n"


def to_markdown(grid: Grid, level: int = 2) -> str:
    """Return a Markdown section with a heading of ``level``; bold marks the best."""
    rows = [
        [_md(column.head) for column in grid.columns],
        *([cell.marked(_md, "**{}**") for cell in row] for row in grid.rows),
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|" + "|".join("---:" if column.right else ":---" for column in grid.columns) + "|")
    header = (part for line in grid.header for part in (_md(line), ""))
    notes = [f"- {note}" for note in (*grid.legend("**bold**:"), *map(_md, grid.remarks))]
    return "\n".join(["#" * level + " " + grid.title, "", *header, *table, *([""] if notes else []), *notes]) + "\n"


def to_csv(grid: Grid) -> str:
    """Return comma-separated values with full precision, one line a row, no header lines and no notes."""
    table = grid.flat()
    return "" if table.empty else table.to_csv(index=False, lineterminator="\n")


def to_json(grids: Sequence[Grid]) -> str:
    """Return a list of {id, title, header, rows, notes}; what no paper printed has no id."""
    tables = [
        ({"id": g.id} if g.id else {})
        | {"title": g.title, "header": g.header, "rows": g.flat().to_dict("records"), "notes": g.remarks}
        for g in grids
    ]
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


def to_latex(grid: Grid) -> str:
    """Return a ``tabular`` for the booktabs package with the header and the notes as comments; bold marks the best."""
    rows = [[cell.marked(_tex, r"\textbf{{{}}}", _tex) for cell in row] for row in grid.rows]
    head, *body = (" & ".join(row) + r" \\" for row in [[_tex(column.head) for column in grid.columns], *rows])
    spec = "".join("r" if column.right else "l" for column in grid.columns)
    table = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    above, below = (grid.title, *grid.header), (*grid.legend("bold:"), *grid.remarks)
    return "\n".join([*(f"% {line}" for line in above), *table, *(f"% {line}" for line in below)]) + "\n"


FORMATS = {"text": to_text, "md": to_markdown, "csv": to_csv, "latex": to_latex}


def render(grids: Sequence[Grid], form: str) -> str:
    """Return ``grids`` as ``text``, ``md``, ``csv``, ``json`` or ``latex``.

    Raises:
        InputError: for another form.
    """
    if choose("format", form, [*FORMATS, "json"]) == "json":
        return to_json(grids)
    return "\n".join(FORMATS[form](grid) for grid in grids)


def to_rich(grid: Grid) -> "Table":
    """Return a table for a terminal; bold marks the best."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape("\n".join((grid.title, *grid.header))), title_justify="left", title_style="")
    for column in grid.columns:
        table.add_column(escape(column.head), justify="right" if column.right else "left")
    for row in grid.rows:
        table.add_row(*(cell.marked(escape, "[bold green]{}[/]") for cell in row))
    table.caption = escape("\n".join((*grid.legend("bold:"), *grid.remarks)))
    table.caption_justify = "left"
    return table


def show(grids: Sequence[Grid], file: TextIO | None = None) -> None:
    """Print tables: drawn on a terminal, plain text anywhere else."""
    file = file or sys.stdout
    if not is_terminal(file):
        file.write(render(grids, "text"))
        return
    from rich.console import Console

    for grid in grids:
        Console(file=file).print(to_rich(grid))


def _wrap(line: str) -> str:
    return textwrap.fill(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _md(text: str) -> str:
    return text.translate(MARKDOWN)


def _tex(text: str) -> str:
    return text.translate(LATEX)


MARKDOWN = str.maketrans({"\\": "\\\\", "|": "\\|", "*": "\\*", "<": "&lt;"})
LATEX = str.maketrans(
    {char: "\\" + char for char in "&%$#_{}"}
    | {
        "\\": r"\textbackslash ",
        "±": r"$\pm$",
        "×": r"$\times$",
        "–": "--",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "|": r"$|$",
        DAGGER: r"$^\dagger$",
        UNSETTLED: r"$^\ddagger$",
    }
)
