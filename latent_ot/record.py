"""The record of one run, from which all tables and pages are made, and its JSON.

Curves of training lie beside the files, in one table a data set (``curve_table.py``); ``results.py`` has the folder.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from latent_ot.curve_table import Curves, from_rows, to_rows
from latent_ot.errors import InputError, nearest
from latent_ot.quantities import learn

DATA = "data"
"""The yardstick's name in place of a method: held-out real examples scored as if they had been generated."""

TRAINING = "training"
"""The yardstick of the data row: training images scored as if they had been generated."""
REBUILT = "rebuilt"
"""The yardstick of a method: training images as it makes them of their own codes."""
COPIED = "copied"
"""The metric by which rows repeat training images."""

SCHEMA = 2
UNWRITTEN = ("outdated", "stored", "copying")
"""Fields that say where a record was found, what has become of it since and what stands beside it: no file has them."""
LATER = ("devices", "intervals", "yardsticks")
"""Fields that came after the first records of this form: a file that lacks them is as it would be written today."""
Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
"""The lower and the upper end of an interval."""
Machine = dict[str, str | int | float | None]
"""A device's model, the CPU cores and the threads beside it, and how a GPU computes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class _Sparse(_Part):
    """A part with a field that came later."""

    later: ClassVar[str]

    @model_serializer(mode="wrap")
    def _told(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what it does not say: keys of stages and files of records are made of what is written."""
        written: dict[str, Any] = serialize(self)
        return {key: value for key, value in written.items() if key != self.later or value}


class StageRef(_Sparse):
    """A stage that the run is made of, and the hash of all that it was made from.

    ``made_of``: kind of part -> each class of that kind -> its version; of a plugin the hash of the file.
    ``machine``: what made it, said of each stage of a run that several machines or devices made.
    """

    later = "machine"

    stage: str
    key: str
    made_of: dict[str, dict[str, int | str]] = {}
    machine: Machine = {}


class Protocol(_Sparse):
    """How ``n`` samples are scored: by an evaluator (None for 2-D points), against a split of the real data.

    Numbers of different protocols are never compared. ``resize``: how images are brought to the evaluator's size, in
    words; those evaluators whose protocols never said so leave it out.
    """

    later = "resize"

    id: str
    evaluator: str | None = None
    checksum: str | None = None
    n: int
    real: str = "train"
    reconstruction: dict[str, int] | None = None
    repeats: int = 1
    resize: str | None = None


class Yardstick(_Part):
    """Figures of images that stand beside a run's own, under the same protocol, and intervals of their sampling."""

    metrics: dict[str, float]
    intervals: dict[str, Ends] = {}


class Record(_Part):
    """One run: method, data set, seed and budget, and all that was measured. What ``metrics`` lacks has a reason.

    ``intervals``: 95 % intervals of ``metrics``, of the sampling of this one run's images and of the real ones; what
    has none is a count, a spread or a largest value. ``yardsticks``: see ``TRAINING`` and ``REBUILT``. ``data``: what
    is known of the data set without having it. ``quantities``: how tables show those of the ``metrics`` that a user's
    own file made (``quantities.Quantity``). ``generator_updates``: those of ``updates`` that move the network which
    makes the images; None where nothing says which do. ``checksum``: of all that the files hold of the run.
    ``devices``: those that trained each of its stages together, where they could. ``machine``: what made its stages, or
    the last of them where they were made on several, and then each says its own. ``outdated``: why today's code would
    give another result, if it would. ``stored``: the record comes from the store, not from what is published.
    ``copying``: of the runs that share its columns it is one that repeats training images (``results.repeating``).
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
    devices: int = Field(1, ge=1)
    budget: str
    images_budget: int
    codes_budget: int | None = None
    sampler_steps: int | None = None
    width: float
    overrides: dict[str, JsonValue] = {}
    config: dict[str, JsonValue] = {}
    metrics: dict[str, float] = {}
    intervals: dict[str, Ends] = {}
    yardsticks: dict[str, Yardstick] = {}
    quantities: dict[str, dict[str, JsonValue]] = {}
    facts: dict[str, JsonValue] = {}
    reasons: dict[str, str] = {}
    protocol: Protocol | None = None
    images_seen: int | None = None
    updates: dict[str, int] = {}
    generator_updates: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = None
    machine: Machine = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    command: str | None = None
    checksum: str | None = None
    outdated: tuple[str, ...] = Field((), exclude=True)
    stored: bool = Field(False, exclude=True)
    copying: bool = Field(False, exclude=True)
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
        """Under which conditions it ran: the budget, and the threads and devices where it was not one."""
        return at(self.budget, self.threads, self.devices)

    @property
    def stem(self) -> str:
        """File name without ``.json``; pictures of the run begin with it."""
        parts = [self.dataset, self.method, self.budget, f"s{self.seed}"]
        parts += shared_by(self.threads, self.devices)
        parts += [slug(self.dataset, self.protocol.id)] if self.protocol else []
        return "--".join(parts)

    @property
    def machines(self) -> list[tuple[str, Machine]]:
        """(stage, what made it) for each stage; where one machine made them all, that one under an empty name."""
        return [(part.stage, part.machine) for part in self.stages if part.machine] or [("", self.machine)]

    @property
    def external(self) -> bool:
        """Whether its images were made elsewhere: a row that no method of the suite made, and that has no stages."""
        return EXTERNAL in self.facts

    def holding(self, rows: bytes) -> Self:
        """Return the record with its rows of the curves' table, which are read when ``curves`` is asked for."""
        self._rows = rows
        return self

    def vouches_for(self, text: str) -> bool:
        """Whether its checksum is that of ``text``, the file that it was read from, and of its rows.

        How the file is laid out does not matter.
        """
        own = f' "checksum": {json.dumps(self.checksum)},\n'
        if self.checksum == _checksum(text.replace(own, "", 1), self._rows):
            return True
        values = json.loads(text)
        values.pop("checksum", None)
        return self.checksum == _checksum(_json(values) + "\n", self._rows)

    def is_run_of(self, method: str | None, settings: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether this is a run of ``method`` with exactly ``settings`` (part -> key -> value) beside its defaults.

        It does not matter whether a value was set by hand or is the default.
        """
        if self.method.partition("[")[0] != method:  # the label of a record says in brackets what was set
            return False
        changed = {(part, key) for part, given in self.overrides.items() if isinstance(given, dict) for key in given}
        asked = {(part, key): value for part, given in settings.items() for key, value in given.items()}
        return changed <= asked.keys() and all(self.setting(*name) == asked[name] for name in asked)

    def setting(self, part: str, key: str) -> JsonValue:
        """Return the value of a setting in this run; None for one that no part of it has."""
        for given in (self.overrides.get(part), self.config.get(part)):
            if isinstance(given, dict) and key in given:
                return given[key]
        return None

    def smoothed(self, curve: str, place: float) -> float | None:
        """Return the mean of a curve within a twentieth of the budget of ``place``, in images seen; None if empty."""
        reach = (HALF_WINDOW + SLACK) * self.images_budget
        near = [y for x, y in self.curves.series(curve) if y is not None and abs(x - place) <= reach]
        return fmean(near) if near else None

    def at_share(self, curve: str, share: float) -> float | None:
        """Return the value of a finished run's curve at a share of the budget; at 1 where it ended, be it before.

        A loss is logged for single batches, so that this is the mean of a tenth of the budget around the place.
        """
        series = self.curves.series(curve) if self.status == "done" else []
        place = share * self.images_budget if share < 1 else max((x for x, _ in series), default=0)
        return self.smoothed(curve, place) if series else None

    @property
    def unsettled(self) -> str | None:
        """How far the search for held-out codes was from its end, if PSNR still rose by more than ``SETTLED`` dB.

        None for a search that converged, and for codes that an encoder gave.
        """
        half, full = self.facts.get(HALFWAY), self.metrics.get("psnr")
        if not isinstance(half, int | float) or full is None or abs(full - half) <= SETTLED:
            return None
        return f"{half:.2f} dB at half of its steps, {full:.2f} dB at the end"

    def half(self, key: str) -> float | None:
        """Return half the width of a metric's interval of sampling; None where it is not known."""
        ends = self.intervals.get(key)
        return (ends[1] - ends[0]) / 2 if ends else None

    def yardstick(self, name: str) -> Self | None:
        """Return the record with the figures of a yardstick in place of its own; None where it has none."""
        found = self.yardsticks.get(name)
        told = {"metrics": found.metrics, "intervals": found.intervals} if found else {}
        return self.model_copy(update=told) if found else None

    def value(self, key: str) -> float | None:
        """Return a metric, or a cost such as ``seconds``; None if this run does not have it."""
        found = self.metrics.get(key, getattr(self, key, None) if key in COSTS else None)
        return None if found is None else float(found)


EXTERNAL = "external"
"""The fact of a record of images that were made elsewhere: as what they came, how many, and a hash of those scored."""
SCORED_BY = "scored_by"
"""The fact of such a record that says what scored it, as ``StageRef.made_of`` does of a stage."""
HALFWAY = "psnr_at_half"
"""The fact of a record that is the PSNR (dB) of reconstructions after half the steps of a search over codes."""
UNSTEADY = "not_deterministic"
"""The fact of a record that names operations without a deterministic form: the same run again may differ."""
SETTLED = 0.1  # dB between half the steps of a search and all of them, from which on it has not converged
SEARCHED = ("psnr", "ssim")
"""Metrics of held-out images that are reconstructed, which a search over codes may do."""
HALF_WINDOW = 1 / 20
SLACK = 1e-9  # of a budget: a value logged exactly at the edge of a window counts
COSTS = ("seconds", "images_seen", "generator_updates", "parameters", "peak_memory_mb")


def slug(dataset: str, protocol: str) -> str:
    """Return a protocol's id as file names have it, without the data set that it begins with."""
    return protocol.removeprefix(f"{dataset}/").replace("/", "-")


class OtherForm(InputError):
    """A record in the form of another version of the suite."""


def parse(text: str, where: str) -> Record:
    """Return the record that ``text``, a file of it, holds; curves stand elsewhere.

    Raises:
        InputError: naming ``where``, the key, its value and what is wrong with it.
        OtherForm: for another version of the form, naming that.
    """
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        raise _version(text, where) or _refusal(error, where) from None
    for key in record.model_fields_set.intersection(UNWRITTEN):
        raise InputError(f"{where}: key '{key}' is unknown")
    learn(record.quantities, where)
    return record


def _version(text: str, where: str) -> InputError | None:
    """Return in one line why a file's version of the form cannot be read; None if it can."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return InputError(f"{where} is not valid JSON: {error}")
    version = values.get("schema", SCHEMA) if isinstance(values, dict) else SCHEMA
    if version == 1:
        return OtherForm(f"{where}: schema 1 is the form before versions; allowed: {SCHEMA}")
    if version != SCHEMA:
        return OtherForm(f"{where}: schema {version!r}; allowed: {SCHEMA}; a newer latent_ot wrote it")
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


def _checksum(canonical: str, rows: bytes) -> str:
    """Return the SHA-256, 16 hex digits, of a record's file without its checksum, as ``dump`` lays it out, and rows."""
    return hashlib.sha256(canonical.encode(errors="backslashreplace") + rows).hexdigest()[:16]


def at(budget: str, threads: int, devices: int = 1) -> str:
    """Return a budget in words, with the threads and the devices of a run where it was not one."""
    several = {"threads": threads, "devices a run": devices}
    return ", ".join([budget, *(f"{count} {what}" for what, count in several.items() if count != 1)])


def shared_by(threads: int, devices: int) -> list[str]:
    """Return what file names say of the threads and the devices of a run, where it was not one."""
    return [f"{letter}{count}" for letter, count in (("t", threads), ("d", devices)) if count != 1]


def checked(record: Record | Mapping[str, Any]) -> Record:
    """Return a record as one that was written and read again; a mapping may have ``curves``, as ``Curves`` reads them.

    Raises:
        InputError: see ``dump``.
    """
    return written(record)[2]


def dump(record: Record | Mapping[str, Any]) -> bytes:
    """Return a record as its JSON file has it, with its checksum and without curves.

    Keys are sorted, floats have 8 significant digits, lists stand on one line, a newline is at the end.

    Raises:
        InputError: for a record that ``parse`` would refuse, or a number that is not finite outside ``curves``.
    """
    return written(record)[0]


def written(record: Record | Mapping[str, Any]) -> tuple[bytes, bytes, Record]:
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
    fields = plain(found.model_dump(mode="json", by_alias=True))
    blank = {name: Record.model_fields[name].get_default() for name in LATER}
    for name in ("checksum", *(name for name in LATER if fields[name] == blank[name])):
        del fields[name]
    fields["checksum"] = _checksum(_json(fields) + "\n", rows)
    data = (_json(fields) + "\n").encode()
    return data, rows, parse(data.decode(), where).holding(rows)


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
