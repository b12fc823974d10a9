"""One table, five forms: a ``Grid`` of header, columns, rows and notes as text, Markdown, CSV, JSON or LaTeX."""

import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import pandas as pd

from latent_ot.errors import choose
from latent_ot.report.groups import unique
from latent_ot.report.marks import Mark, footnotes, marks, outdated
from latent_ot.terminal import can_draw, columns, fits, is_terminal

if TYPE_CHECKING:
    from rich.table import Table

    from latent_ot.record import Record


@dataclass(frozen=True)
class Cell:
    """``text`` is what a reader sees, with ``before`` in front of it and outside the mark that ``best`` sets.

    ``data`` is what a program reads: name -> value, where the empty name stands for the column's own. ``rests`` are
    the records that it rests on, whose marks it bears, those that concern its ``quantity``, and ``own`` marks.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    best: bool = False
    before: str = ""
    rests: "tuple[Record, ...]" = ()
    quantity: str = ""
    own: "tuple[Mark, ...]" = ()

    @classmethod
    def of(cls, text: str) -> "Cell":
        """Return a cell whose text is its value."""
        return cls(text, {"": text})

    @property
    def marks(self) -> "list[tuple[Mark, Record]]":
        """The marks that it bears, each with a record that it bears it for."""
        every = ((mark, record) for record in self.rests for mark in (*marks(record), *self.own))
        return [(mark, record) for mark, record in every if mark.concerns(self.quantity)]

    @property
    def signs(self) -> str:
        """The signs of its marks."""
        return "".join(dict.fromkeys(mark.sign for mark, _ in self.marks))

    def marked(self, escape: Callable[[str], str], bold: str) -> str:
        """Return the cell as a form writes it: ``bold`` is the pattern of what is best."""
        text = escape(self.text)
        return escape(self.before) + (bold.format(text) if self.best else text) + escape(self.signs)


@dataclass(frozen=True)
class Column:
    """``key`` is the column's name for programs, ``head`` for readers; numbers stand to the right."""

    key: str
    head: str
    right: bool = True


@dataclass(frozen=True)
class Grid:
    """A table. ``best`` says what the mark on a cell means; it is printed only if a cell bears the mark.

    ``id``: of the published table that it shows, for programs. ``parts``: place of a row -> what stands above it and
    those that follow, in words.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    header: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    best: str = "best, or tied with it"
    id: str | None = None
    parts: Mapping[int, str] = field(default_factory=dict)

    @property
    def named(self) -> int:
        """The place of the column that names the rows."""
        return next((i for i, column in enumerate(self.columns) if not column.right), 0)

    def legend(self, mark: str) -> tuple[str, ...]:
        """Return what ``mark`` means, if a cell bears it."""
        return (f"{mark} {self.best}",) if any(cell.best for row in self.rows for cell in row) else ()

    @property
    def rests(self) -> "list[Record]":
        """The records that its cells rest on."""
        return _rests(itertools.chain(*self.rows))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the marks on cells mean, and the notes."""
        borne = (mark for row in self.rows for cell in row for mark in cell.marks)
        return (*footnotes(borne, self.rests), *self.notes)

    def flat(self) -> pd.DataFrame:
        """Return the table as programs read it; what a row lacks is None.

        Where rows rest on records, the column ``marks`` has the names of their other marks, and ``outdated`` the
        reasons why some are, else None.
        """
        rows: list[dict[str, Any]] = []
        for cells in self.rows:
            parts = ((column.key, cell.data) for column, cell in zip(self.columns, cells, strict=True))
            rows.append({f"{key}_{sub}" if sub else key: value for key, data in parts for sub, value in data.items()})
        if every := self.rests:
            for row, cells in zip(rows, self.rows, strict=True):
                named = dict.fromkeys(mark.name for cell in cells for mark, _ in cell.marks)
                row["marks"] = "; ".join(name for name in named if name != "outdated") or None
                row["outdated"] = "; ".join(outdated(_rests(cells), every)) or None
        names = sorted(dict.fromkeys(itertools.chain(*rows)), key=("marks", "outdated").__contains__)
        table = pd.DataFrame(rows, columns=names, dtype=object)
        return table.where(table.notna(), None)


def _rests(cells: "Iterable[Cell]") -> "list[Record]":
    return unique(record for cell in cells for record in cell.rests)


def to_text(grid: Grid, say: Callable[[str], str] = str, width: int = 120) -> str:
    """Return aligned plain text; ``*`` marks the best.

    Args:
        grid: the table.
        say: puts what stands in it in letters that its reader has.
        width: of the lines above and below it.
    """
    signs = [[say("*" * c.best + c.signs) for c in row] for row in grid.rows]
    room = [max(map(len, column)) for column in zip(*signs, strict=True)]  # keeps numbers aligned
    body = [
        [say(c.before + c.text) + sign.ljust(wide) for c, sign, wide in zip(row, line, room, strict=True)]
        for row, line in zip(grid.rows, signs, strict=True)
    ]
    lines = [[say(column.head) for column in grid.columns], *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * wide for wide in widths])
    sides = ["<>"[column.right] for column in grid.columns]
    laid = [
        "  ".join(f"{text:{side}{wide}}" for text, side, wide in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    ]
    for place in sorted(grid.parts, reverse=True):
        laid[2 + place : 2 + place] = ["", say(grid.parts[place])]
    notes = [_wrap(say(note), width) for note in (*grid.legend("*"), *grid.remarks)]
    above = [_wrap(say(line), width) for line in (grid.title, *grid.header)]
    return "\n".join([*above, "", *laid, *([""] if notes else []), *notes]) + "\n"


def to_markdown(grid: Grid, level: int = 2) -> str:
    """Return a Markdown section with a heading of ``level``; bold marks the best."""
    rows = [
        [_md(column.head) for column in grid.columns],
        *([cell.marked(_md, "**{}**") for cell in row] for row in grid.rows),
    ]
    for place in sorted(grid.parts, reverse=True):
        line = ["" for _ in grid.columns]
        line[grid.named] = f"*{_md(grid.parts[place])}*"
        rows.insert(1 + place, line)
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
    rows = [[cell.marked(_tex, r"\textbf{{{}}}") for cell in row] for row in grid.rows]
    head, *body = (" & ".join(row) + r" \\" for row in [[_tex(column.head) for column in grid.columns], *rows])
    for place in sorted(grid.parts, reverse=True):
        line = rf"\multicolumn{{{len(grid.columns)}}}{{l}}{{\textit{{{_tex(grid.parts[place])}}}}} \\"
        body[place:place] = [r"\midrule", line]
    spec = "".join("r" if column.right else "l" for column in grid.columns)
    table = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    above, below = (grid.title, *grid.header), (*grid.legend("bold:"), *grid.remarks)
    return "\n".join([*(f"% {line}" for line in above), *table, *(f"% {line}" for line in below)]) + "\n"


FORMATS: dict[str, Callable[[Grid], str]] = {"text": to_text, "md": to_markdown, "csv": to_csv, "latex": to_latex}


def render(grids: Sequence[Grid], form: str) -> str:
    """Return ``grids`` as ``text``, ``md``, ``csv``, ``json`` or ``latex``.

    Raises:
        InputError: for another form.
    """
    if choose("format", form, [*FORMATS, "json"]) == "json":
        return to_json(grids)
    return "\n".join(FORMATS[form](grid) for grid in grids)


def to_rich(grid: Grid, say: Callable[[str], str] = str) -> "Table":
    """Return a table for a terminal; bold marks the best. Nothing in it is cut or broken, however narrow."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in grid.columns:
        table.add_column(escape(say(column.head)), justify="right" if column.right else "left", no_wrap=True)
    for place, row in enumerate(grid.rows):
        if place in grid.parts:
            table.add_section()
            line = ["" for _ in grid.columns]
            line[grid.named] = f"[italic]{escape(say(grid.parts[place]))}[/]"
            table.add_row(*line)
        table.add_row(*(say(cell.marked(escape, "[bold green]{}[/]")) for cell in row))
    return table


def show(grids: Sequence[Grid], file: TextIO | None = None) -> None:
    """Print tables: drawn on a terminal, without the columns that it has no room for; plain text anywhere else."""
    file = file or sys.stdout
    say = partial(fits, stream=file)
    for place, grid in enumerate(grids):
        if not is_terminal(file):
            file.write("\n" * (place > 0) + to_text(grid, say))
            continue
        room = columns()
        if not can_draw(file):
            shown = narrowed(grid, room, say, 2)
            narrow = _width(shown, say, 2) > room
            file.write("\n" * (place > 0) + (stacked(grid, say, room) if narrow else to_text(shown, say, room)))
            continue
        from rich.console import Console

        shown = narrowed(grid, room, say, 3)
        if _width(shown, say, 3) > room:
            file.write(stacked(grid, say, room))
            continue
        console = Console(file=file, width=room)
        above, below = (shown.title, *shown.header), (*shown.legend("bold:"), *shown.remarks)
        file.write("".join(f"{_wrap(say(line), room)}\n" for line in above))
        console.print(to_rich(shown, say))
        file.write("".join(f"{_wrap(say(line), room)}\n" for line in below))


def stacked(grid: Grid, say: Callable[[str], str], width: int) -> str:
    """Return a table for a terminal that has no room for two columns: under each row's name a line for each figure."""
    first = grid.named + 1
    lines = [_wrap(line, width) for line in (grid.title, *grid.header)]
    for place, row in enumerate(grid.rows):
        lines += ["", _wrap(grid.parts[place], width)] if place in grid.parts else []
        lines += ["", " ".join(cell.text for cell in row[:first])]
        for column, cell in zip(grid.columns[first:], row[first:], strict=True):
            lines.append(f"  {column.head}: {cell.marked(str, '{}*')}")
    lines += ["", *(_wrap(note, width) for note in (*grid.legend("*"), *grid.remarks))]
    return "".join(f"{say(line)}\n" for line in lines)


def narrowed(grid: Grid, room: int, say: Callable[[str], str], between: int) -> Grid:
    """Return a table with as many whole columns, from the left, as a terminal has room for, and a note of the others.

    Args:
        grid: the table.
        room: columns of characters.
        say: what letters the terminal has.
        between: characters beside what a column holds.
    """
    count = len(grid.columns)
    while count > grid.named + 2 and _width(_first(grid, count), say, between) > room:
        count -= 1
    if count == len(grid.columns):
        return grid
    left = ", ".join(column.head.replace(" ", "\u00a0") for column in grid.columns[count:])
    how = "a wider terminal shows them, or a pipe (`| cat`) or a file"
    return replace(_first(grid, count), notes=(*grid.notes, f"left out in {room} columns: {left}; {how}"))


def _first(grid: Grid, count: int) -> Grid:
    return replace(grid, columns=grid.columns[:count], rows=tuple(row[:count] for row in grid.rows))


def _width(grid: Grid, say: Callable[[str], str], between: int) -> int:
    cells = [[cell.marked(say, "{}*") for cell in row] for row in grid.rows]
    cells += [["" if i != grid.named else say(part) for i in range(len(grid.columns))] for part in grid.parts.values()]
    heads = [say(column.head) for column in grid.columns]
    return sum(max(map(len, column)) + between for column in zip(heads, *cells, strict=True)) + 1


def _wrap(line: str, width: int = 120) -> str:
    return textwrap.fill(
        line, max(20, min(width, 120)), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


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
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
        "§": r"$^\S$",
        "¶": r"$^\P$",
        "‖": r"$^\|$",
        "◊": r"$^\diamond$",
        "∞": r"$_\infty$",
    }
)
