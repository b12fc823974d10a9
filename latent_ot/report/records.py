"""Result records, from which all tables and pages are made: one JSON file per run and protocol in a ``results`` folder.

Curves of training lie beside the files, in one table a data set (``report/curve_table.py``).
"""

import glob
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, ValidationError, model_validator

from latent_ot.bench.store import write_atomic
from latent_ot.errors import InputError, nearest
from latent_ot.report.curve_table import SUFFIX, Block, Curves, from_rows, pack, to_rows, unpack

DATA = "data"
"""The yardstick's name in place of a method: held-out real examples scored as if they had been generated."""

SCHEMA = 2
LOCK = ".lock"
UNWRITTEN = ("outdated", "stored")
"""Fields that say where a record was found and what has become of it since: no file has them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class StageRef(_Part):
    """A stage that the run is made of, and the hash of all that it was made from.

    ``made_of``: kind of part -> each class of that kind -> its version; of a plugin the hash of the file.
    """

    stage: str
    key: str
    made_of: dict[str, dict[str, int | str]] = {}


class Protocol(_Part):
    """How ``n`` samples were scored: by an evaluator (None for 2-D points), against a split of the real data."""

    id: str
    evaluator: str | None = None
    checksum: str | None = None
    n: int
    real: str = "train"
    reconstruction: dict[str, int] | None = None
    repeats: int = 1


class Record(_Part):
    """One run: method, data set, seed and budget, and all that was measured. What ``metrics`` lacks has a reason.

    ``data``: what is known of the data set without having it. ``checksum``: of all that the files hold of the run.
    ``outdated``: why today's code would give another result, if it would. ``stored``: the record comes from the store,
    not from what is published.
    """

    schema_: Literal[2] = Field(alias="schema")
    status: Literal["done", "failed", "diverged", "declined"]
    reason: str | None = None
    method: str
    paper: str | None = None
    stages: list[StageRef] = []
    dataset: str
    dataset_content: str | None = None
    data: dict[str, JsonValue] = {}
    seed: int
    threads: int = Field(1, ge=1)
    budget: str
    images_budget: int
    codes_budget: int | None = None
    width: float
    overrides: dict[str, JsonValue] = {}
    config: dict[str, JsonValue] = {}
    metrics: dict[str, float] = {}
    facts: dict[str, JsonValue] = {}
    reasons: dict[str, str] = {}
    protocol: Protocol | None = None
    images_seen: int | None = None
    updates: dict[str, int] = {}
    parameters: int | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = None
    machine: dict[str, str | int | float | None] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    command: str | None = None
    checksum: str | None = None
    outdated: tuple[str, ...] = Field((), exclude=True)
    stored: bool = Field(False, exclude=True)
    _rows: bytes = PrivateAttr(b"")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status == "done" and self.protocol is None:
            raise ValueError("a run that is done states its protocol")
        if self.status != "done" and not self.reason:
            raise ValueError(f"a run that is {self.status} states the reason")
        return self

    @cached_property
    def curves(self) -> Curves:
        """Curves over training; those of a loaded record are read when they are first asked for."""
        return from_rows(self._rows)

    @property
    def at(self) -> str:
        """Under which conditions it ran: the budget, and the threads where it was not one."""
        return _at(self.budget, self.threads)

    @property
    def stem(self) -> str:
        """File name without ``.json``; pictures of the run begin with it."""
        parts = [self.dataset, self.method, self.budget, f"s{self.seed}"]
        parts += [f"t{self.threads}"] if self.threads != 1 else []
        parts += [slug(self.dataset, self.protocol.id)] if self.protocol else []
        return "--".join(parts)

    def is_run_of(self, method: str | None, settings: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether this is a run of ``method`` with exactly ``settings`` (part -> key -> value) beside its defaults.

        It does not matter whether a value was set by hand or is the default.
        """
        changed = {(part, key) for part, given in self.overrides.items() if isinstance(given, dict) for key in given}
        asked = {(part, key): value for part, given in settings.items() for key, value in given.items()}
        own = self.method.partition("[")[0] == method  # the label of a record says in brackets what was set
        return own and changed <= asked.keys() and all(self.setting(*name) == asked[name] for name in asked)

    def setting(self, part: str, key: str) -> JsonValue:
        """Return the value of a setting in this run; None for one that no part of it has."""
        for given in (self.overrides.get(part), self.config.get(part)):
            if isinstance(given, dict) and key in given:
                return given[key]
        return None

    def value(self, key: str) -> float | None:
        """Return a metric, or a cost such as ``seconds``; None if this run does not have it."""
        found = self.metrics.get(key, getattr(self, key, None) if key in COSTS else None)
        return None if found is None else float(found)


COSTS = ("seconds", "images_seen", "parameters", "peak_memory_mb")


def slug(dataset: str, protocol: str) -> str:
    """Return a protocol's id as file names have it, without the data set that it begins with."""
    return protocol.removeprefix(f"{dataset}/").replace("/", "-")


def parse(text: str, where: str) -> Record:
    """Return the record that ``text``, a file of it, holds; curves stand elsewhere.

    Raises:
        InputError: naming ``where``, the key, its value and what is wrong with it; for another version of the form,
            naming that.
    """
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        raise _version(text, where) or _refusal(error, where) from None
    for key in record.model_fields_set.intersection(UNWRITTEN):
        raise InputError(f"{where}: key '{key}' is unknown")
    return record


def _version(text: str, where: str) -> InputError | None:
    """Return in one line why a file's version of the form cannot be read; None if it can."""
    try:
        values = json.loads(text)
    except ValueError as error:
        return InputError(f"{where} is not valid JSON: {error}")
    version = values.get("schema", SCHEMA) if isinstance(values, dict) else SCHEMA
    if version == 1:
        return InputError(f"{where}: schema 1 is the form before versions; allowed: {SCHEMA}")
    if version != SCHEMA:
        return InputError(f"{where}: schema {version!r}; allowed: {SCHEMA}; a newer latent_ot wrote it")
    return None


def _refusal(error: ValidationError, where: str, prefix: str = "") -> InputError:
    """Return the first mistake of a record in one line; keys are named with ``prefix``."""
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    if not key:
        return InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}")
    if first["type"] == "extra_forbidden":
        allowed = [field.alias or name for name, field in Record.model_fields.items() if name not in UNWRITTEN]
        return InputError(f"{where}: key '{key}' is unknown{nearest(key, allowed)}")
    if first["type"] == "missing":
        return InputError(f"{where}: key '{key}' is missing")
    return InputError(f"{where}: key '{key}' = {str(first['input'])[:60]!r}: {first['msg']}")


def load(root: Path, stored: bool = False) -> list[Record]:
    """Return the records of ``root/results``, sorted by file name; an absent folder holds none.

    ``stored`` is what they say of themselves: whether ``root`` is a store, not what is published. One whose files do
    not agree with its checksum, or that has none, is outdated: it was edited.

    Raises:
        InputError: for a malformed file, or one whose name is not that of the run inside.
    """
    found = _load(root)
    if any(record.outdated for record in found):  # or was another command just writing it?
        found = _load(root)
    return [record.model_copy(update={"stored": True}) for record in found] if stored else found


def _load(root: Path) -> list[Record]:
    rows = {s: (b.rows, path) for path in _tables(root) for s, b in unpack(path).items()}
    records = []
    for path in sorted((root / "results").glob("*.json")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        record = parse(text, str(path))
        if record.stem != path.stem:
            raise InputError(f"{path} holds the run '{record.stem}'; allowed: a file of that name")
        record._rows, table = rows.get(record.stem, (b"", path))
        if not _vouched(record, text):
            try:
                _ = record.curves  # rows that nobody vouches for may be anything
            except ValueError as error:
                told = str(error).splitlines()[0]
                raise InputError(f"{table} is no table of curves: rows of {record.stem}: {told}") from None
            what = "differs" if record.checksum else "is missing"
            record = record.model_copy(update={"outdated": (f"edited: its checksum {what}",)})
        records.append(record)
    return records


def _tables(root: Path) -> list[Path]:
    return sorted((root / "results").glob(f"*{SUFFIX}"))


def _vouched(record: Record, text: str) -> bool:
    """Whether a record's checksum is that of its file and rows; how the file is laid out does not matter."""
    own = f' "checksum": {json.dumps(record.checksum)},\n'
    if record.checksum == _checksum(text.replace(own, "", 1), record._rows):
        return True
    values = json.loads(text)
    values.pop("checksum", None)
    return record.checksum == _checksum(_json(values) + "\n", record._rows)


def _checksum(canonical: str, rows: bytes) -> str:
    """Return the SHA-256, 16 hex digits, of a record's file without its checksum, as ``dump`` lays it out, and rows."""
    return hashlib.sha256(canonical.encode(errors="backslashreplace") + rows).hexdigest()[:16]


def add(root: Path, records: Iterable[Record | Mapping[str, Any]]) -> list[Path]:
    """Write records under ``root/results``, each in place of an older one of its run and protocol, and their curves.

    Commands that write at the same time wait for one another.

    Returns:
        The JSON files.

    Raises:
        InputError: for a record that ``parse`` would refuse (see ``dump``), before anything is written.
    """
    results, new = root / "results", {}
    for given in records:
        data, rows, record = _written(given)
        new[record.stem] = record.dataset, data, rows
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(results / LOCK):
        for dataset in sorted({dataset for dataset, *_ in new.values()}):
            path = results / f"{dataset}{SUFFIX}"
            kept = {s: b for s, b in (unpack(path) if path.exists() else {}).items() if s not in new}
            blocks = {stem: block for stem, block in kept.items() if (results / f"{stem}.json").exists()}
            blocks |= {stem: Block.of(rows) for stem, (of, _, rows) in new.items() if rows and of == dataset}
            _write_table(path, blocks)
        for stem, (_, data, _) in new.items():
            write_atomic(results / f"{stem}.json", data)
    return [results / f"{stem}.json" for stem in new]


def remove(root: Path, stems: Iterable[str]) -> None:
    """Remove records from ``root/results`` with their curves and pictures.

    Raises:
        InputError: for a stem of no record, before anything is removed.
    """
    results, unwanted = root / "results", set(stems)
    known = {path.stem for path in results.glob("*.json")}
    for stem in sorted(unwanted - known):
        raise InputError(f"record '{stem}' is not in {results}{nearest(stem, known)}")
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(results / LOCK):
        for stem in unwanted:
            for path in (*results.glob(f"{glob.escape(stem)}.png"), *results.glob(f"{glob.escape(stem)}.*.png")):
                path.unlink()
            (results / f"{stem}.json").unlink()
        for path in _tables(root):
            blocks = unpack(path)
            if blocks.keys() & unwanted:
                _write_table(path, {stem: block for stem, block in blocks.items() if stem not in unwanted})


def _write_table(path: Path, blocks: Mapping[str, Block]) -> None:
    """Write a table that has rows; one without does not exist."""
    if blocks:
        write_atomic(path, pack(blocks))
    else:
        path.unlink(missing_ok=True)


def merge(published: Sequence[Record], stored: Sequence[Record]) -> list[Record]:
    """Return one record for each run and protocol, by stem: one that is not outdated, else the store's.

    A record of the store that equals the published one is that, and not marked as ``stored``.
    """
    found = {record.stem: record for record in published}
    for record in stored:
        other = found.get(record.stem)
        if other is None:
            better = True
        elif bool(other.outdated) != bool(record.outdated):
            better = bool(other.outdated)
        else:
            better = record.checksum is None or record.checksum != other.checksum
        if better:
            found[record.stem] = record.model_copy(update={"stored": True})
    return [found[stem] for stem in sorted(found)]


def select(
    records: Iterable[Record],
    dataset: str | None = None,
    method: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
) -> list[Record]:
    """Return the records that agree with every argument given."""
    wanted = {"dataset": dataset, "method": method, "budget": budget, "seed": seed}
    return [r for r in records if all(value is None or getattr(r, key) == value for key, value in wanted.items())]


class Group(NamedTuple):
    """What runs have in common that may share a column; with another number of threads a run is another run."""

    dataset: str
    protocol: str
    budget: str
    threads: int

    @property
    def at(self) -> str:
        """See ``Record.at``."""
        return _at(self.budget, self.threads)


def _at(budget: str, threads: int) -> str:
    return budget if threads == 1 else f"{budget}, {threads} threads"


def by_protocol(records: Sequence[Record]) -> dict[Group, list[Record]]:
    """Group runs that may share a column; ``protocol`` is the protocol's id.

    The yardstick depends on the protocol alone, so a group without its own takes that of another budget. A run that
    never came to be scored has no protocol and joins every group of its data set, budget and threads.
    """
    groups: dict[Group, list[Record]] = {}
    for r in records:
        if r.protocol:
            groups.setdefault(Group(r.dataset, r.protocol.id, r.budget, r.threads), []).append(r)
    for r in records:
        if r.protocol is None:
            own = Group(r.dataset, "", r.budget, r.threads)
            for key in [key for key in groups if key._replace(protocol="") == own] or [own]:
                groups.setdefault(key, []).append(r)
    for key, group in groups.items():
        if not any(r.method == DATA for r in group):
            others = [r for r in records if r.method == DATA and r.dataset == key.dataset and r.protocol]
            group += {r.seed: r for r in others if r.protocol and r.protocol.id == key.protocol}.values()
    budgets = {r.budget: r.images_budget for r in records}
    return {
        key: groups[key]
        for key in sorted(groups, key=lambda k: (k.dataset, -budgets[k.budget], k.budget, k.protocol, k.threads))
    }


def checked(record: Record | Mapping[str, Any]) -> Record:
    """Return a record as one that was written and read again; a mapping may have ``curves``, as ``Curves`` reads them.

    Raises:
        InputError: see ``dump``.
    """
    return _written(record)[2]


def dump(record: Record | Mapping[str, Any]) -> bytes:
    """Return a record as its JSON file has it, with its checksum and without curves.

    Keys are sorted, floats have 8 significant digits, lists stand on one line, a newline is at the end.

    Raises:
        InputError: for a record that ``parse`` would refuse, or a number that is not finite outside ``curves``.
    """
    return _written(record)[0]


def _written(record: Record | Mapping[str, Any]) -> tuple[bytes, bytes, Record]:
    """Return a record's JSON file, its rows of the curves' table, and the record that these are read as."""
    if isinstance(record, Record):
        values = record.model_dump(mode="json", by_alias=True) | {"curves": record.curves.model_dump(mode="json")}
    else:
        values = {"curves": {}, **record}
    plainly = plain(values)
    curves, where = plainly.pop("curves"), f"record of '{values.get('method')}'"
    found = parse(json.dumps(plainly), where)
    try:
        rows = to_rows(found.stem, Curves.model_validate_json(json.dumps(curves)))
    except ValidationError as error:
        raise _refusal(error, where, "curves.") from None
    written = plain(found.model_dump(mode="json", by_alias=True))
    del written["checksum"]
    written["checksum"] = _checksum(_json(written) + "\n", rows)
    data = (_json(written) + "\n").encode()
    found = parse(data.decode(), where)
    found._rows = rows
    return data, rows, found


def significant(value: float) -> float:
    """Return ``value`` with 8 significant digits, so that equal results read alike whatever library summed them."""
    return float(f"{value:.8g}")


def plain(value: Any, key: str = "") -> Any:
    """Return ``value`` with NumPy numbers and arrays as Python's own and floats rounded."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, key) for item in value]
    if isinstance(value, float):
        if math.isfinite(value):
            return significant(value)
        if key.startswith("curves."):
            return None
        raise InputError(f"record: key '{key}' = {value} is not finite; leave it out and say why under 'reasons'")
    return value


def _json(value: Any, indent: str = "") -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    inner = indent + " "
    items = (f"{inner}{json.dumps(name)}: {_json(value[name], inner)}" for name in sorted(value))
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"
