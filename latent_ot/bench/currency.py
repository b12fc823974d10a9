"""Whether a record is what today's code would give: its keys beside those of a plan made from what it says of itself.

A record that is not is outdated; tables, pages and claims mark it. A metric that came after a record, or that is gone
since, does not outdate it: the numbers that it has still hold.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from latent_ot.bench.identity import MadeOf, key_of, scoring
from latent_ot.bench.judge import judge_among
from latent_ot.budgets import Budget, benchmarks, budget, settings
from latent_ot.errors import InputError, Refused
from latent_ot.files import read_json, write_json
from latent_ot.record import DATA, SCORED_BY, Record, plain
from latent_ot.results import load, merge

PACKAGE = Path(__file__).parents[1]
UNKNOWN = "today's code gives it another key"
MANY = 20  # records to check from which on a command says what it waits for


def published(boards: Path, store: Path) -> list[Record]:
    """Return the records under ``boards/results``, outdated ones marked; what was found is kept in the store."""
    return mark(load(boards), store / "cache")


def stored(store: Path) -> list[Record]:
    """Return the store's own records, outdated ones marked."""
    return mark(load(store, stored=True), store / "cache")


def everything(boards: Path, store: Path) -> list[Record]:
    """Return the records of both places; of one run in both that which is not outdated, else the store's."""
    return merge(published(boards, store), stored(store))


def mark(records: Sequence[Record], memory: Path) -> list[Record]:
    """Return the records with the reasons why today's code would give other ones, where there are any.

    Finding out needs torch, which takes seconds to import, so what was found is kept in the folder ``memory`` for as
    long as package and data of the suite stay as they are.
    """
    path = memory / f"currency-{digest()}.json"
    known = remembered(path, list)
    new = [r for r in records if _name(r) not in known]
    if new:
        if len(new) >= MANY and "torch" not in sys.modules:
            print(f"comparing {len(new)} records with today's code (once after each change of it)", file=sys.stderr)
        known |= {_name(r): list(outdated(r)) for r in new}
        remember(path, known)
    return [r.model_copy(update={"outdated": (*r.outdated, *known[_name(r)])}) for r in records]


def fingerprint(records: Sequence[Record]) -> bytes:
    """Return a hash of what pages over marked records are made from: the records, what is outdated, the code."""
    named = [(_name(record), record.outdated) for record in records]
    return hashlib.sha256(json.dumps([digest(), named]).encode()).hexdigest().encode()


def _name(record: Record) -> str:
    return f"{record.stem} {record.checksum}"


def outdated(record: Record) -> tuple[str, ...]:
    """Return why today's code would give the run another key, one line a reason; nothing if it would not.

    A record that was made with a user's own file is taken at its word: the file is not here.
    """
    if any("plugin" in stage.made_of for stage in record.stages):
        return ()
    try:
        found = dict.fromkeys(_reasons(record))
        return tuple(why for why in found if why != UNKNOWN or len(found) == 1)
    except InputError as error:  # a method, setting or budget that is no more
        return (str(error),)


def _reasons(record: Record) -> Iterator[str]:
    from latent_ot.bench.plan import Facts, Planner, protocol
    from latent_ot.catalog import suite
    from latent_ot.datasets.base import origin_today
    from latent_ot.datasets.content import difference

    card: Mapping[str, Any] = record.data
    if not {"shape", "train", "test", "origin"} <= card.keys():
        yield "it does not say what its data were"
        return
    origin = origin_today(record.dataset, card["origin"])
    if origin is not None and origin != card["origin"]:
        yield f"data set {record.dataset}: {difference(card['origin'], origin)}"
    shape = tuple(card["shape"])
    facts = Facts(record.dataset, record.dataset_content or "", shape, card["train"], card["test"], card["origin"])
    terms = budget(record.budget, facts.id, facts.train, facts.kind)
    if record.protocol is None:
        return
    evaluator, checksum = record.protocol.evaluator, record.protocol.checksum
    judges = (judge_among(stage.made_of.get("frozen", {}), evaluator, checksum) for stage in record.stages)
    if judge := next(filter(None, judges), None):
        yield f"network {judge} trained it and scores it, which is refused now"
        return
    if (now := _packaged(evaluator)) not in (None, checksum):
        yield f"evaluator {evaluator} has other weights now ({str(now)[:8]})"
    rule = settings()["protocol"]
    rules = protocol(facts, terms, evaluator, checksum, rule["n"][facts.kind], rule["repeats"][facts.kind])
    if rules.id != record.protocol.id:
        yield f"protocol {rules.id} now, was {record.protocol.id}"
    if record.external:
        yield from _scored_otherwise(record)
        return
    planner = Planner(suite(), facts, terms, lambda: rules, record.overrides, record.threads, record.devices)  # type: ignore[arg-type]
    name = record.method.partition("[")[0]
    try:
        plan = planner.data_row(record.seed) if name == DATA else planner.run(name, record.seed)
    except Refused:
        if record.status == "declined":  # as it says itself
            return
        raise
    if [s.part for s in plan.stages] != [s.stage for s in record.stages]:
        yield f"its stages are {', '.join(s.part for s in plan.stages) or plan.declined} now"
        return
    if found := list(_stages(record, plan.stages)):
        yield from (*found, *_draws(record, terms))


def _draws(record: Record, terms: Budget) -> Iterator[str]:
    """Compare what the budget of a record draws now with what it drew."""
    for name, now in (("images", terms.images), ("codes", terms.codes)):
        was = getattr(record, f"{name}_budget")
        if was is not None and now is not None and was != now:
            yield f"budget {record.budget} draws {now:,} {name} now, was {was:,}"


def _scored_otherwise(record: Record) -> Iterator[str]:
    """Compare what scored images that were made elsewhere, all of which is known of them, with what would today."""
    was: Any = record.facts.get(SCORED_BY, {})
    today = scoring("evaluate", "image", record.protocol.evaluator if record.protocol else None)
    now = {kind: {name: today.get(kind, {}).get(name, 1) for name in found} for kind, found in was.items()}
    yield from versions_changed(was, now)


def _stages(record: Record, now: Sequence[Any]) -> Iterator[str]:
    """Compare the stages of a plan with those of a record."""
    keys: dict[str, str] = {}  # of today's plan -> of the same plan with the metrics alone that the record has
    for ours, was in zip(now, record.stages, strict=True):
        parts = {kind: dict(found) for kind, found in ours.job["made_of"].items()}
        if "metrics" in parts:
            parts["metrics"] = {name: parts["metrics"].get(name, 1) for name in was.made_of.get("metrics", {})}
        inputs = {role: keys.get(key, key) for role, key in ours.job["inputs"].items()}
        keys[ours.key] = key = key_of({**ours.job, "made_of": parts, "inputs": inputs})
        if key != was.key:
            yield from versions_changed(was.made_of, parts)
            yield from _settings(record, ours.job)
            yield UNKNOWN


def versions_changed(was: MadeOf, now: MadeOf) -> Iterator[str]:
    """Yield in words each part that has another version now; see ``identity.key_of`` for those that are gone or new."""
    for kind in sorted({*was, *now}):
        before, today = was.get(kind, {}), now.get(kind, {})
        for name in sorted({*before, *today}):
            if before.get(name, 1) != today.get(name, 1):
                former = before.get(name, 1) or "another one before versions were kept"
                yield f"{name} is version {today.get(name, 1)} now, was {former}"


def _settings(record: Record, job: Mapping[str, Any]) -> Iterator[str]:
    was = record.config.get(job["name"], {})
    now = job.get("config", {})
    if isinstance(was, dict):
        now = plain(now)
        for key in sorted({*was, *now} if now else ()):
            if was.get(key) != now.get(key):
                yield f"{job['name']}.{key} is {now.get(key)} now, was {was.get(key)}"


def _packaged(evaluator: str | None) -> str | None:
    """Return the checksum of an evaluator whose weights come with the package."""
    from latent_ot.metrics.evaluators.base import WEIGHTS

    card = WEIGHTS / f"{evaluator}.json"
    what = "what is stated beside an evaluator's weights"
    return read_json(card, what, "install latent_ot anew").get("sha256") if evaluator and card.is_file() else None


@cache
def digest() -> str:
    """Return the hash of all that keys are computed from: the package's code and the suite's data."""
    files = [
        *PACKAGE.rglob("*.py"),
        *PACKAGE.rglob("*.yaml"),
        *PACKAGE.rglob("weights/*.json"),
        benchmarks() / "budgets.yaml",
        benchmarks() / "rates.yaml",
    ]
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def remembered(path: Path, kind: type) -> dict[str, Any]:
    """Return what was kept in a file, each a ``kind``; of one that is absent or damaged, nothing: it is found again."""
    try:
        found = read_json(path, "what earlier commands found", "delete it")
    except InputError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, kind)}


def remember(path: Path, known: Mapping[str, Any]) -> None:
    """Keep in ``NAME-DIGEST.json`` what was found, and nothing of earlier code.

    Where the disk takes nothing, it is found again next time.
    """
    try:
        for old in path.parent.glob(f"{path.stem.partition('-')[0]}-*.json"):
            if old != path:
                old.unlink(missing_ok=True)
        write_json(path, known)
    except OSError:
        pass
