"""One table, five forms: a ``Grid`` of header, columns, rows and notes as text, Markdown, CSV, JSON or LaTeX."""

import csv
import io
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from latent_ot.errors import choose
from latent_ot.report import marks
from latent_ot.report.marks import DAGGER

if TYPE_CHECKING:
    from rich.table import Table

    from latent_ot.record import Record


@dataclass(frozen=True)
class Cell:
    """``text`` is what a reader sees, with ``before`` in front of it and outside the mark that ``best`` sets.

    ``data`` is what a program reads: name -> value, where the empty name stands for the column's own. ``rests`` are
    the records that it rests on: if one is outdated, it bears a dagger.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    best: bool = False
    before: str = ""
    rests: "tuple[Record, ...]" = ()

    @classmethod
    def of(cls, text: str) -> "Cell":
        """Return a cell whose text is its value."""
        return cls(text, {"": text})

    @property
    def dagger(self) -> str:
        """The mark of a cell that rests on an outdated record, else nothing."""
        return DAGGER if any(record.outdated for record in self.rests) else ""


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
        return _rests(cell for row in self.rows for cell in row)

    @property
    def daggers(self) -> tuple[str, ...]:
        """Why cells bear a dagger, one line a reason."""
        return tuple(f"{DAGGER}: {line}" for line in marks.outdated(self.rests))

    def flat(self) -> list[dict[str, Any]]:
        """Return the rows as programs read them: one flat mapping each, all with the same keys.

        Where rows rest on records, the key ``outdated`` has the reasons why some of these are, else None.
        """
        keys = dict.fromkeys(self._name(c, sub) for row in self.rows for c, sub in self._subs(row))
        filled = [
            {self._name(c, s): row[i].data[s] for i, c in enumerate(self.columns) for s in row[i].data}
            for row in self.rows
        ]
        every = self.rests
        reasons = ["; ".join(marks.outdated(_rests(row), every)) or None for row in self.rows]
        extra: list[dict[str, Any]] = [{"outdated": why} if every else {} for why in reasons]
        return [{key: row.get(key) for key in keys} | more for row, more in zip(filled, extra, strict=True)]

    def _subs(self, row: tuple[Cell, ...]) -> list[tuple[Column, str]]:
        return [(column, sub) for column, cell in zip(self.columns, row, strict=True) for sub in cell.data]

    @staticmethod
    def _name(column: Column, sub: str) -> str:
        return f"{column.key}_{sub}" if sub else column.key


def _rests(cells: "Iterable[Cell]") -> "list[Record]":
    return marks.unique(record for cell in cells for record in cell.rests)


def to_text(grid: Grid) -> str:
    """Return aligned plain text; ``*`` marks the best."""
    head = [column.head for column in grid.columns]
    signs = [["*" * c.best + c.dagger for c in row] for row in grid.rows]
    room = [max((len(line[i]) for line in signs), default=0) for i in range(len(head))]  # keeps numbers aligned
    body = [
        [c.before + c.text + sign.ljust(width) for c, sign, width in zip(row, line, room, strict=True)]
        for row, line in zip(grid.rows, signs, strict=True)
    ]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(cells, widths, grid.columns, strict=True)
        )
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = [*map(_wrap, (grid.title, *grid.header)), "", row(head), rule, *map(row, body)]
    notes = [_wrap(note) for note in (*grid.legend("*"), *grid.daggers, *grid.notes)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def to_markdown(grid: Grid, level: int = 2) -> str:
    """Return a Markdown section with a heading of ``level``; bold marks the best."""

    def cell(c: Cell) -> str:
        return _md(c.before) + (f"**{_md(c.text)}**" if c.best else _md(c.text)) + c.dagger

    lines = ["#" * level + " " + grid.title, ""]
    for line in grid.header:
        lines += [_md(line), ""]
    lines.append("| " + " | ".join(_md(column.head) for column in grid.columns) + " |")
    lines.append("|" + "|".join("---:" if column.right else ":---" for column in grid.columns) + "|")
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in grid.rows]
    notes = [f"- {note}" for note in (*grid.legend("**bold**:"), *map(_md, (*grid.daggers, *grid.notes)))]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def to_csv(grid: Grid) -> str:
    """Return comma-separated values with full precision, one line a row, no header lines and no notes."""
    rows = grid.flat()
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def to_json(grids: Sequence[Grid]) -> str:
    """Return a list of {id, title, header, rows, notes}; what no paper printed has no id."""
    tables = [
        ({"id": g.id} if g.id else {})
        | {"title": g.title, "header": g.header, "rows": g.flat(), "notes": (*g.daggers, *g.notes)}
        for g in grids
    ]
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


def to_latex(grid: Grid) -> str:
    """Return a ``tabular`` for the booktabs package with the header and the notes as comments; bold marks the best."""

    def cell(c: Cell) -> str:
        text = rf"\textbf{{{_tex(c.text)}}}" if c.best else _tex(c.text)
        return _tex(c.before) + text + (r"$^\dagger$" if c.dagger else "")

    spec = "".join("r" if column.right else "l" for column in grid.columns)
    lines = [f"% {line}" for line in (grid.title, *grid.header)]
    lines += [
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        " & ".join(_tex(c.head) for c in grid.columns) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(map(cell, row)) + r" \\" for row in grid.rows]
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {note}" for note in (*grid.legend("bold:"), *grid.daggers, *grid.notes)),
    ]
    return "\n".join(lines) + "\n"


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
        table.add_row(
            *(
                escape(c.before) + (f"[bold green]{escape(c.text)}[/]" if c.best else escape(c.text)) + c.dagger
                for c in row
            )
        )
    table.caption = escape("\n".join((*grid.legend("bold:"), *grid.daggers, *grid.notes)))
    table.caption_justify = "left"
    return table


def show(grids: Sequence[Grid], file: TextIO | None = None) -> None:
    """Print tables: drawn on a terminal, plain text anywhere else."""
    file = file or sys.stdout
    if not file.isatty():
        file.write(render(grids, "text"))
        return
    from rich.console import Console

    for grid in grids:
        Console(file=file).print(to_rich(grid))


def _wrap(line: str) -> str:
    return textwrap.fill(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _md(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _tex(text: str) -> str:
    text = text.replace("\\", r"\textbackslash ")
    for char in "&%$#_{}":
        text = text.replace(char, "\\" + char)
    signs = {"±": r"$\pm$", "×": r"$\times$", "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "|": r"$|$"}
    for sign, tex in signs.items():
        text = text.replace(sign, tex)
    return text
