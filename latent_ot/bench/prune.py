"""``latent-ot prune``: what lies in the store that no plan of today's code refers to, and what removing it frees."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_ot.bench.currency import stored, versions_changed
from latent_ot.bench.identity import SMALL, MadeOf, key_of, made_of, scored_by
from latent_ot.bench.store import Store, config_of, remove_stage
from latent_ot.budgets import budget
from latent_ot.catalog import SCORING, Catalog
from latent_ot.errors import Declined, InputError
from latent_ot.results import remove as remove_records

if TYPE_CHECKING:
    from latent_ot.stage import Stage

BUILT_ON = ("sampler", "refine", "reconstruct", "evaluate")
"""Roles of stages that have inputs, each after those that it may be built on."""


@dataclass(frozen=True)
class Item:
    """A stage's folder, a file, or a record with its pictures: ``why`` no plan refers to it, and its size."""

    path: Path
    why: str
    size: int
    record: str | None = None


@dataclass(frozen=True)
class Unreferred:
    """What may go, and the bytes that stay."""

    store: Store
    items: tuple[Item, ...]
    kept: int

    def lines(self) -> Iterator[str]:
        """Say what goes, the largest first, and how much that is."""
        for item in sorted(self.items, key=lambda item: (-item.size, item.path)):
            yield f"{_megabytes(item.size)}  {item.path.relative_to(self.store.root)}: {item.why}"
        total = sum(item.size for item in self.items)
        yield f"{_megabytes(total)}  in {len(self.items)} places that no plan refers to;{_megabytes(self.kept)} stay"


def unreferred(root: Path) -> Unreferred:
    """Look through a store.

    Raises:
        InputError: if there is none.
    """
    if not (root / "stages").is_dir():
        raise InputError(f"store '{root}': there is none; allowed: a folder that a benchmark has made, by --store")
    store = Store(root)
    folders = {path.name: path for path in sorted(store.stages.iterdir()) if path.is_dir()}
    cards = {name: _card(path) for name, path in folders.items()}
    why = _stages(cards)
    items = [Item(folders[name], reason, _size(folders[name])) for name, reason in why.items() if reason]
    contents = {card["job"]["dataset"]["content"] for name, card in cards.items() if card and not why[name]}
    for path in sorted(store.cache.glob("features-*.npz")):
        if path.name.split("-")[1] not in contents:
            items.append(Item(path, "no stage that stays has these data", path.stat().st_size))
    for path in sorted(store.cache.glob("drawn-*/")):
        items.append(Item(path, "left by a command that was killed while several evaluators scored", _size(path)))
    for record in stored(root):
        if record.outdated:
            files = list((root / "results").glob(f"{record.stem}.*"))
            size = sum(path.stat().st_size for path in files)
            items.append(Item(root / "results" / f"{record.stem}.json", record.outdated[0], size, record.stem))
    return Unreferred(store, tuple(items), _size(root) - sum(item.size for item in items))


def remove(found: Unreferred) -> None:
    """Remove all of it; a stage that another command works on stays."""
    for item in (item for item in found.items if item.record is None):
        if item.path.is_file():
            item.path.unlink()
            continue
        with found.store.claim(item.path.name) as mine:
            if mine:
                remove_stage(item.path)
    remove_records(found.store.root, [item.record for item in found.items if item.record])


def _stages(cards: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str | None]:
    """Return stage -> why no plan refers to it, or None; what is built on something that goes goes with it."""
    catalog = Catalog()
    known: dict[str, str | None] = {}
    why: dict[str, str | None] = {}
    for name, card in cards.items():
        asked = json.dumps([card and (card["job"], card.get("spec")), name.split("-")[-3:-2]], sort_keys=True)
        if asked not in known:
            known[asked] = _refusal(catalog, name, card)
        why[name] = known[asked]
    keys = {name.rpartition("-")[2]: name for name in cards}
    for role in BUILT_ON:
        for name, card in cards.items():
            if card and card["job"]["role"] == role and why[name] is None:
                gone = [part for part, key in card["job"]["inputs"].items() if key not in keys or why[keys[key]]]
                why[name] = f"what it is built on, its {gone[0]} stage, is gone or goes" if gone else None
    return why


def _refusal(catalog: Catalog, name: str, card: Mapping[str, Any] | None) -> str | None:
    """Return why no plan of today's code has a stage of this folder, leaving aside what it is built on."""
    if card is None:
        return "its config.json is missing, or of an earlier form"
    job = card["job"]
    if key_of(job) != name.rpartition("-")[2]:
        return "its config.json gives another key than its name"
    if "plugin" in job["made_of"]:
        return None  # the user's own file is not here to be compared
    try:
        now = _made_of(catalog, card)
        if key_of({**job, "made_of": now}) != key_of(job):
            return next(versions_changed(job["made_of"], now), "other metrics are measured now")
        return _other_terms(catalog, name, card)
    except (InputError, Declined) as error:  # a part, a setting or a budget that is no more
        return str(error)


def _small(catalog: Catalog, card: Mapping[str, Any]) -> "Stage":
    """Return the stage as today's code builds it, small."""
    from latent_ot.bench.load import make

    return make(catalog, {**card, "spec": {**card["spec"], **SMALL}})


def _made_of(catalog: Catalog, card: Mapping[str, Any]) -> MadeOf:
    """Return what today's code makes the stage of."""
    job = card["job"]
    if job["role"] in SCORING:
        evaluator = job.get("protocol", {}).get("evaluator")
        points = job["role"] == "evaluate" and evaluator is None
        return scored_by(catalog, job, "points" if points else "image", evaluator)
    return made_of(_small(catalog, card))


def _other_terms(catalog: Catalog, name: str, card: Mapping[str, Any]) -> str | None:
    """Return which budget or settings have changed since, for a stage that trains."""
    job = card["job"]
    if job["role"] in SCORING:
        return None
    terms = budget(name.rsplit("-", 3)[1], job["dataset"]["id"], card["spec"]["count"], card["kind"])
    if not job["images"]:
        return None
    draws = terms.codes_of(_small(catalog, card).rows_per_step) if job["role"] == "sampler" else terms.images
    if (draws, terms.width_of(job["name"])) != (job["images"], job["width"]):
        return f"budget {terms.name} has {draws:,} draws at width {terms.width_of(job['name']):g} now"
    return None


def _card(folder: Path) -> dict[str, Any] | None:
    try:
        card = config_of(folder)
    except InputError:
        return None
    return card if "made_of" in card["job"] else None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 2**20:8.1f} MB"
