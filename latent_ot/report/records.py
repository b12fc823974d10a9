"""Result records: one JSON file per run under ``leaderboards/results``, from which all tables and pages are made."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from latent_ot.bench.store import write_atomic
from latent_ot.errors import InputError, nearest

DATA = "data"
"""The yardstick's name in place of a method: held-out real examples scored as if they had been generated."""

Series = list[tuple[float, float | None]]
"""(images seen, value) pairs; None stands for a value that was not finite."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class StageRef(_Part):
    """A stage that the run is made of, and the hash of all that it was made from."""

    stage: str
    key: str


class Protocol(_Part):
    """How ``n`` samples were scored: by an evaluator (None for 2-D points), against a split of the real data."""

    id: str
    evaluator: str | None = None
    checksum: str | None = None
    n: int
    real: str = "train"
    reconstruction: dict[str, int] | None = None
    repeats: int = 1


class PRDCurve(_Part):
    """Precision and recall along the PRD curve, equally long."""

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


class Record(_Part):
    """One run: method, data set, seed and budget, and all that was measured. What ``metrics`` lacks has a reason."""

    schema_: Literal[1] = Field(alias="schema")
    status: Literal["done", "failed", "diverged", "declined"]
    reason: str | None = None
    method: str
    paper: str | None = None
    stages: list[StageRef] = []
    dataset: str
    dataset_content: str | None = None
    seed: int
    budget: str
    images_budget: int
    codes_budget: int | None = None
    width: float
    overrides: dict[str, JsonValue] = {}
    config: dict[str, JsonValue] = {}
    metrics: dict[str, float] = {}
    facts: dict[str, JsonValue] = {}
    reasons: dict[str, str] = {}
    curves: Curves = Curves()
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status == "done" and self.protocol is None:
            raise ValueError("a run that is done states its protocol")
        if self.status != "done" and not self.reason:
            raise ValueError(f"a run that is {self.status} states the reason")
        return self

    @property
    def stem(self) -> str:
        """File name without ``.json``; pictures of the run begin with it."""
        return f"{self.dataset}--{self.method}--{self.budget}--s{self.seed}"

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


def parse(text: str, where: str) -> Record:
    """Return the record that ``text`` holds.

    Raises:
        InputError: naming ``where``, the key, its value and what is wrong with it.
    """
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        raise InputError(f"{where} is not valid JSON: {first['ctx']['error']}")
    if not key:
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}")
    if first["type"] == "extra_forbidden":
        allowed = [field.alias or name for name, field in Record.model_fields.items()]
        raise InputError(f"{where}: key '{key}' is unknown{nearest(key, allowed)}")
    if first["type"] == "missing":
        raise InputError(f"{where}: key '{key}' is missing")
    raise InputError(f"{where}: key '{key}' = {str(first['input'])[:60]!r}: {first['msg']}")


def load(root: Path) -> list[Record]:
    """Return the records of ``root/results``, sorted by file name; an absent folder holds none.

    Raises:
        InputError: for a malformed file, or one whose name is not that of the run inside.
    """
    records = []
    for path in sorted((root / "results").glob("*.json")):
        try:
            record = parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        if record.stem != path.stem:
            raise InputError(f"{path} holds the run '{record.stem}'; allowed: a file of that name")
        records.append(record)
    return records


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


def by_protocol(records: Sequence[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Group runs by (data set, protocol id, budget): the runs that may share a column.

    The yardstick depends on the protocol alone, so a group without its own takes that of another budget. A run that
    never came to be scored has no protocol and joins every group of its data set and budget.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.protocol:
            groups.setdefault((record.dataset, record.protocol.id, record.budget), []).append(record)
    for record in records:
        if record.protocol is None:
            homes = [key for key in groups if (key[0], key[2]) == (record.dataset, record.budget)]
            for key in homes or [(record.dataset, "", record.budget)]:
                groups.setdefault(key, []).append(record)
    for (dataset, protocol, _), group in groups.items():
        if not any(r.method == DATA for r in group):
            others = [r for r in records if r.method == DATA and r.dataset == dataset and r.protocol]
            group += {r.seed: r for r in others if r.protocol and r.protocol.id == protocol}.values()
    budgets = {r.budget: r.images_budget for r in records}
    return {key: groups[key] for key in sorted(groups, key=lambda k: (k[0], -budgets[k[2]], k[2], k[1]))}


def dump(record: Record | Mapping[str, Any]) -> bytes:
    """Return a record as JSON: keys sorted, floats with 8 significant digits, lists on one line, a newline at the end.

    Raises:
        InputError: for a record that ``parse`` would refuse, or a number that is not finite outside ``curves``.
    """
    values = record.model_dump(mode="json", by_alias=True) if isinstance(record, Record) else dict(record)
    plain = _plain(values, "")
    checked = parse(json.dumps(plain), f"record of '{values.get('method')}'")
    return (_json(_plain(checked.model_dump(mode="json", by_alias=True), "")) + "\n").encode()


def write_record(path: Path, record: Record | Mapping[str, Any]) -> None:
    """Write a record atomically; see ``dump``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dump(record))


def significant(value: float) -> float:
    """Return ``value`` with 8 significant digits, so that equal results read alike whatever library summed them."""
    return float(f"{value:.8g}")


def _plain(value: Any, key: str) -> Any:
    """Return ``value`` with NumPy numbers and arrays as Python's own and floats rounded."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key) for item in value]
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
