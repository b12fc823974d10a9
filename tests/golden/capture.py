"""Take golden values: ``python tests/golden/capture.py [NAMES...] [--to FOLDER]``.

NAMES: ``glo`` (all that is called so), ``methods`` (a group) or ``methods/glo``; none: everything. Values go to
``tests/golden/values``, one file a group, whose other entries stay as they are. With ``--to`` they go elsewhere, and
what a checkout does not have is noted as absent: with another checkout's package on PYTHONPATH, two files tell whether
both make the same numbers.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import measures, resolved, sources, stages
from golden.compare import leaves

VALUES = Path(__file__).parent / "values"
COMMAND = ".venv/bin/python tests/golden/capture.py"
BASES = ("Stage", "Method", "LatentSampler")  # of every stage, so that nothing of theirs is one method's


@dataclass(frozen=True)
class Entry:
    """What has golden values: its numbers by case, and the versions that they are to be kept under."""

    name: str
    cases: Mapping[str, Callable[[], Any]]
    versions: Callable[[], dict[str, int]] = dict
    classes: tuple[str, ...] = ()
    """Whose version is to be raised when numbers change: the entry's own class first, then the bases that it shares."""

    @property
    def advice(self) -> str:
        """What to do when numbers changed on purpose."""
        own, *shared = self.classes or ("",)
        also = f" (or {' or '.join(f'`{name}.version`' for name in shared)}, where the change is)" if shared else ""
        raised = f"raise `{own}.version`{also} and " if own else ""
        return f"if that was meant, {raised}renew the golden values with `{COMMAND} {self.name}`"


def lineage(kind: type) -> dict[str, int]:
    """Return the versions of a class and its bases; none in a checkout from before there were any."""
    try:
        from latent_ot.identity import lineage
    except ImportError:
        return {}
    return lineage(kind)


def of_stage(kind: str, part: str) -> dict[str, int]:
    """Return the versions that a trained stage is kept under: its own, and its networks' in every case."""
    versions = dict(lineage(stages.CATALOG.stage(kind, part)))
    try:
        from latent_ot.networks.families import families_of
    except ImportError:
        return versions
    for case in stages.cases(part):
        versions |= families_of(stages.built(case))
    return dict(sorted(versions.items()))


def _stages() -> dict[str, Entry]:
    found = {}
    for kind, parts in stages.CATALOG.files.items():
        for part in parts:
            cases = {case.name: lambda case=case: stages.result(case) for case in stages.cases(part)}
            names = tuple(name for name in lineage(stages.CATALOG.stage(kind, part)) if name not in BASES)
            found[f"{kind}/{part}"] = Entry(
                f"{kind}/{part}", cases, lambda kind=kind, part=part: of_stage(kind, part), names
            )
    return found


def _networks() -> dict[str, Entry]:
    try:
        from latent_ot.networks import families
    except ImportError:
        pairs, files = {}, {}
    else:
        pairs, files = families.FAMILIES, getattr(families, "BY_MODULE", {})
    made = {name: (lambda name=name: measures.family(name), [kind]) for name, kind in pairs.items()}
    for name, make in measures.NETWORKS.items():
        made[name] = (make, files.get(f"latent_ot.networks.{name.removesuffix('.py')}", []))
    found = {}
    for name, (make, kinds) in made.items():
        versions = {kind.__name__: kind.version for kind in kinds if hasattr(kind, "version")}
        entry = Entry(f"networks/{name}", {"output": make}, lambda versions=versions: versions, tuple(versions))
        found[entry.name] = entry
    return found


def _evaluators() -> dict[str, Entry]:
    from latent_ot.metrics.evaluators.small import Small

    return {
        f"evaluators/{name}": Entry(
            f"evaluators/{name}",
            {"answers": lambda name=name: measures.evaluator(name)},
            lambda: lineage(Small),
            ("Small",),
        )
        for name in measures.evaluators()
    }


def _metrics() -> dict[str, Entry]:
    try:
        from latent_ot.metrics.base import metrics
    except ImportError:
        kinds = {}
    else:
        kinds = {kind.__name__: kind for kind in metrics()}
    return {
        f"metrics/{name}": Entry(
            f"metrics/{name}", cases, lambda name=name: lineage(kinds[name]) if name in kinds else {}, (name,)
        )
        for name, cases in measures.METRICS.items()
    }


def _sources() -> dict[str, Entry]:
    found = {}
    for name, make in sources.SOURCES.items():
        try:
            module = importlib.import_module(f"latent_ot.datasets.{name}")
        except ImportError:
            kinds = []
        else:
            kinds = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        stated = {key: value for kind in kinds for key, value in lineage(kind).items()}
        names = tuple(kind.__name__ for kind in kinds if "version" in vars(kind))
        found[f"datasets/{name}"] = Entry(f"datasets/{name}", {"pixels": make}, lambda stated=stated: stated, names)
    return found


def _settings() -> dict[str, Entry]:
    from latent_ot.published import table_names

    found = {
        "settings/stages": Entry(
            "settings/stages",
            {
                f"{kind}/{part}": lambda kind=kind, part=part: resolved.by_shape(kind, part)
                for kind, parts in stages.CATALOG.files.items()
                for part in parts
            },
        ),
        "settings/pairs": Entry(
            "settings/pairs",
            {
                name: lambda name=name: {s: resolved.recipe(name, shape, {}) for s, shape in resolved.SHAPES.items()}
                for name in stages.CATALOG.pairs
            },
        ),
    }
    tables = {name: lambda name=name: resolved.table(name) for name in table_names()}
    return {**found, "settings/tables": Entry("settings/tables", tables)}


def _scoring() -> dict[str, Entry]:
    from latent_ot.bench import sampling

    kind = getattr(sampling, "Draws", None)
    stated = lineage(kind) if kind else {}
    return {
        f"scoring/{name}": Entry(f"scoring/{name}", {"drawn": make}, lambda: stated, ("Draws",))
        for name, make in measures.SCORING.items()
    }


@cache
def entries() -> dict[str, Entry]:
    """Return everything that has golden values, by name."""
    groups = (_stages(), _networks(), _evaluators(), _metrics(), _sources(), _settings(), _scoring())
    return {name: entry for group in groups for name, entry in group.items()}


def rounded(values: Any) -> Any:
    """Return values with numbers to eight significant digits."""
    if isinstance(values, Mapping):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    return float(f"{values:.8g}") if isinstance(values, float) else values


def take(entry: Entry, tolerant: bool = False) -> dict[str, Any]:
    """Return an entry's versions and numbers; ``tolerant``: with the reason where a checkout has none."""
    found: dict[str, Any] = {"versions": entry.versions(), "cases": {}}
    for name, make in entry.cases.items():
        try:
            found["cases"][name] = rounded(make())
        except Exception as error:
            if not tolerant:
                raise
            found["cases"][name] = f"absent: {type(error).__name__}: {error}"
    return found


@cache
def committed(group: str) -> dict[str, Any]:
    """Return the golden values of a group."""
    path = VALUES / f"{group}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def chosen(names: list[str]) -> list[Entry]:
    """Return the entries that are called so, belong to groups that are, or all of them."""
    known = entries()
    found = {n: e for n, e in known.items() if not names or {n, *n.split("/")} & set(names)}
    unknown = [name for name in names if not any({name} & {n, *n.split("/")} for n in known)]
    if unknown:
        raise SystemExit(f"no golden values of '{unknown[0]}'; there are: {', '.join(known)}")
    return list(found.values())


def dump(values: Mapping[str, Any]) -> str:
    """Return JSON in which a case is one line."""
    rows = []
    for name, entry in sorted(values.items()):
        cases = ",\n".join(f"   {json.dumps(key)}: {json.dumps(entry['cases'][key])}" for key in entry["cases"])
        versions = json.dumps(entry["versions"])
        rows.append(f' {json.dumps(name)}: {{\n  "versions": {versions},\n  "cases": {{\n{cases}\n  }}\n }}')
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main(arguments: list[str]) -> None:
    """Take the named values and write them."""
    names, folder = arguments, VALUES
    if "--to" in names:
        at = names.index("--to")
        names, folder = names[:at] + names[at + 2 :], Path(names[at + 1])
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, dict[str, Any]] = {}
    for entry in chosen(names):
        group, _, name = entry.name.partition("/")
        groups.setdefault(group, {})[name] = take(entry, tolerant=folder != VALUES)
    for group, taken in groups.items():
        path = folder / f"{group}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        known = {name.partition("/")[2] for name in entries() if name.startswith(f"{group}/")}
        path.write_text(dump({name: value for name, value in {**before, **taken}.items() if name in known}))
        print(f"{path.name}: {', '.join(taken)} ({sum(1 for _ in leaves(taken))} values)")


if __name__ == "__main__":
    main(sys.argv[1:])
