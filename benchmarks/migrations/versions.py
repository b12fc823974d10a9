"""Give the records that were made before versions the form that has them: run once, kept as the account of it.

    python benchmarks/migrations/versions.py

A record of the earlier form names its stages by keys that hold a hash of the package's source, which no later code can
give. Here each gets the key of today's plan for the same method, settings, data, seed and budget, provided that today's
code computes the same numbers as the commit that made the record: ``versions.json`` beside this file holds what a
comparison of the golden values at each of those commits with today's found, part by part. What computes other numbers
now gets version 0 in the record, so that it reads as outdated. The images are compared byte by byte, by the content id
of the earlier form. Records of the earlier budget ``short`` (128,000 images at full width) are retired, since that name
now stands for ten times ``ci``; the history keeps them. Of the pictures one small one a method and data set stays.
"""

import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latent_ot.bench.currency import outdated
from latent_ot.bench.identity import key_of
from latent_ot.bench.plan import Facts, Planner, protocol
from latent_ot.budgets import budget, settings
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.errors import InputError
from latent_ot.pictures.small import small_picture
from latent_ot.record import DATA, plain
from latent_ot.results import add
from latent_ot.results import load as load_records

HERE = Path(__file__).parent
BOARDS = HERE.parents[1] / "leaderboards"
RETIRED = "short"
AGREEMENT: dict[str, dict[str, str]] = json.loads((HERE / "versions.json").read_text())
"""Commit -> classes whose golden values there were other ones than today -> why."""
CATALOG = Catalog()


def former_content_id(dataset: Dataset) -> str:
    """Return the content id of the earlier form: of id, shapes and bytes, without the source's version and view."""
    digest = hashlib.sha256(dataset.id.encode())
    for array in (dataset.train, dataset.test):
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:12]


def as_then(commit: str, made_of: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what a stage is made of with version 0 for the classes that computed other numbers at a commit."""
    other = AGREEMENT[commit]
    return {kind: {name: 0 if name in other else v for name, v in found.items()} for kind, found in made_of.items()}


def migrated(row: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return a record in the form that has versions."""
    if former_content_id(dataset) != row["dataset_content"]:
        sys.exit(f"{row['dataset']}: its images are not those of the record; nothing was changed")
    facts = Facts.of(dataset)
    terms = budget(row["budget"], facts.id, facts.train, facts.kind)
    evaluator, rule = row["protocol"], settings()["protocol"]
    n, repeats = rule["n"][facts.kind], rule["repeats"][facts.kind]
    rules = protocol(facts, terms, evaluator["evaluator"], evaluator["checksum"], n, repeats)
    name = row["method"].partition("[")[0]
    then = _settings(row["config"])
    planner = Planner(CATALOG, facts, terms, lambda: rules, then, row["machine"]["threads"])
    plan = planner.data_row(row["seed"]) if name == DATA else planner.run(name, row["seed"])
    keys: dict[str, str] = {}
    stages = []
    for stage in plan.stages:
        made_of = as_then(row["commit"].rstrip("+"), stage.job["made_of"])
        inputs = {role: keys[key] for role, key in stage.job["inputs"].items()}
        keys[stage.key] = key_of({**stage.job, "made_of": made_of, "inputs": inputs})
        stages.append({"stage": stage.part, "key": keys[stage.key], "made_of": made_of})
    assert [s["stage"] for s in stages] == [s["stage"] for s in row["stages"]], row["method"]
    new = {"schema": 2, "stages": stages, "threads": row["machine"]["threads"], "data": facts.card()}
    return {**row, **new, "dataset_content": facts.content_id}


def _settings(config: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings that a run was made with, but for values that today's code refuses."""
    found: dict[str, dict[str, Any]] = {}
    for part, given in config.items():
        kind = next(kind for kind, files in CATALOG.files.items() if part in files)
        check = CATALOG.stage(kind, part).Config.build
        usual = plain(check({}, part).model_dump(mode="json"))  # records round, keys do not
        for key, value in given.items():
            if usual.get(key) == value:
                continue
            with contextlib.suppress(InputError):
                check({key: value}, part)
                found.setdefault(part, {})[key] = value
    return found


def main() -> None:
    """Rewrite everything under ``leaderboards/results``."""
    results = BOARDS / "results"
    former = {path: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    if {row["schema"] for row in former.values()} != {1}:
        sys.exit("the records have versions already; nothing was changed")
    kept = {path: row for path, row in former.items() if row["budget"] != RETIRED}
    datasets = {name: load(name, Path("data")) for name in {row["dataset"] for row in kept.values()}}
    rows = {path: migrated(row, datasets[row["dataset"]]) for path, row in kept.items()}
    lowest: dict[tuple[str, str], Path] = {}
    for path, row in sorted(kept.items(), key=lambda item: item[1]["seed"]):
        lowest.setdefault((row["dataset"], row["method"]), path)
    pictures = {}
    for path in lowest.values():
        for kind in ("samples", "points"):
            picture = results / f"{path.stem}.{kind}.png"
            if picture.exists():
                pictures[path] = small_picture(picture, kind)
    for path in [*results.glob("*.json"), *results.glob("*.png")]:
        path.unlink()
    written = dict(zip(rows, add(BOARDS, list(rows.values())), strict=True))
    for path, data in pictures.items():
        written[path].with_suffix(".png").write_bytes(data)
    found = [outdated(record) for record in load_records(BOARDS)]
    reasons = Counter(why for whys in found for why in whys)
    print(f"{len(former)} records: {len(former) - len(kept)} retired, {found.count(())} current")
    for why, count in reasons.most_common():
        print(f"{count} marked: {why}")


if __name__ == "__main__":
    main()
