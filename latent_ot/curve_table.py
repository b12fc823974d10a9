"""Curves of training, apart from their records: one compressed table a data set, ``<dataset>.curves.csv.gz``.

Columns: record (its file stem), curve, x (images seen; of a PRD curve the place along it) and y, empty where it was not
finite; sorted by record and curve. Every record's rows are a gzip member of their own, which any program reads as one
file: a new record leaves the bytes of all others as they were, so that a history of the table grows by what is new.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from latent_ot.errors import Damaged
from latent_ot.files import reading

SUFFIX = ".curves.csv.gz"
HEAD = b"record,curve,x,y\n"
PRD = ("prd.precision", "prd.recall")
_RECORD = re.compile(rb'("(?:[^"]|"")*"|[^",\n]+),')  # a row's first field

Series = list[tuple[float, float | None]]
"""(images seen, value) pairs; None stands for a value that was not finite."""


class PRDCurve(BaseModel):
    """Precision and recall along the PRD curve, equally long."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    precision: list[float]
    recall: list[float]


class Curves(BaseModel):
    """Curves over training; every key besides ``prd`` and ``loss`` is a metric's series."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Series] = Field(init=False)
    prd: PRDCurve | None = None
    loss: dict[str, Series] = {}

    def series(self, metric: str) -> Series:
        """Return a metric's (images seen, value) pairs, or a loss's as ``loss.NAME``; empty if it was not followed."""
        kind, _, name = metric.partition(".")
        return self.loss.get(name, []) if kind == "loss" else self.__pydantic_extra__.get(metric, [])


def to_rows(stem: str, curves: Curves) -> bytes:
    """Return a record's rows of the table, numbers with 8 significant digits; an empty curve has none."""
    named: dict[str, Series] = {**curves.__pydantic_extra__}
    named |= {f"loss.{name}": series for name, series in curves.loss.items()}
    if curves.prd:
        sides = zip(PRD, (curves.prd.precision, curves.prd.recall), strict=True)
        named |= {name: [(float(i), y) for i, y in enumerate(values)] for name, values in sides}
    out = io.StringIO()
    rows = ((stem, name, f"{x:.8g}", "" if y is None else f"{y:.8g}") for name in sorted(named) for x, y in named[name])
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def from_rows(rows: bytes) -> Curves:
    """Return the curves that a record's rows hold.

    Raises:
        ValueError: for rows that ``to_rows`` does not write.
    """
    named: dict[str, Series] = {}
    for _, name, x, y in csv.reader(io.StringIO(rows.decode())):
        named.setdefault(name, []).append((float(x), float(y) if y else None))
    sides = {name.removeprefix("prd."): [y for _, y in named.pop(name)] for name in PRD if name in named}
    loss = {name.removeprefix("loss."): named.pop(name) for name in list(named) if name.startswith("loss.")}
    return Curves.model_validate({**named, "loss": loss, "prd": sides or None})


class Block(BaseModel):
    """A record's rows, and the gzip member that holds them and nothing else."""

    model_config = ConfigDict(frozen=True)
    rows: bytes
    packed: bytes

    @classmethod
    def of(cls, rows: bytes) -> "Block":
        """Return the block of rows: the same bytes every time."""
        out = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as file:
            file.write(rows)
        return cls(rows=rows, packed=out.getvalue())


def pack(blocks: Mapping[str, Block]) -> bytes:
    """Return a table, compressed, of each record's block by its stem."""
    return b"".join([Block.of(HEAD).packed, *(blocks[stem].packed for stem in sorted(blocks))])


def unpack(path: Path) -> tuple[dict[str, Block], Damaged | None]:
    """Return each record's block of a table by its stem, and what is wrong with the file: then as many as can be read.

    Raises:
        InputError: if the file may not be read.
    """
    found: dict[str, Block] = {}
    try:
        with reading(path, "a table of curves", "run the commands of its records again"):
            _unpack(path, found)
    except Damaged as why:
        return found, why
    return found, None


def _unpack(path: Path, found: dict[str, Block]) -> None:
    head = True
    for text, packed in _members(path.read_bytes()):
        if head and not text.startswith(HEAD):
            raise ValueError(f"its first line is not {HEAD.decode().strip()!r}")
        split = _by_record(text.removeprefix(HEAD) if head else text)
        for stem, rows in split.items():
            whole = len(split) == 1 and stem not in found and not head
            earlier = found[stem].rows if stem in found else b""
            found[stem] = Block(rows=rows, packed=packed) if whole else Block.of(earlier + rows)
        head = False
    if head:
        raise ValueError("it is empty")


def _members(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield what each gzip member of a file holds, and the member."""
    while data:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        text = member.decompress(data)
        if not member.eof:
            raise ValueError("it is cut short")
        rest = member.unused_data
        yield text, data[: len(data) - len(rest)]
        data = rest


def _by_record(text: bytes) -> dict[str, bytes]:
    """Return record -> its rows; rows of one record alone, which is how tables are written, are not looked through."""
    if not text:
        return {}
    first = _record(text)
    if text.count(b"\n" + first) + 1 == text.count(b"\n") and text.endswith(b"\n"):
        return {_name(first): text}
    lines: dict[bytes, list[bytes]] = {}
    for line in text.splitlines(keepends=True):
        lines.setdefault(_record(line), []).append(line)
    return {_name(record): b"".join(rows) for record, rows in lines.items()}


def _record(line: bytes) -> bytes:
    found = _RECORD.match(line)
    if found is None:
        raise ValueError(f"a row begins {line[:40]!r}")
    return found[0]


def _name(field: bytes) -> str:
    return next(csv.reader([field.decode()]))[0]
