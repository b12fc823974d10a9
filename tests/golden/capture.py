"""Take golden values: ``python tests/golden/capture.py [NAMES...]``.

NAMES: ``glo`` (all that is called so), ``methods`` (a group) or ``methods/glo``; none: everything. Values go to
``tests/golden/values``, one file a group, whose other entries stay as they are. Beside them stands of which values, and
how far apart, they come out with other instructions and threads.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import measures, resolved, sources, stages
from golden.compare import MARGIN, differences, leaves

from latent_ot.bench.sampling import Draws
from latent_ot.discovery import discover
from latent_ot.identity import lineage
from latent_ot.methods._inversion import Search
from latent_ot.metrics.base import metrics
from latent_ot.metrics.evaluators.find import evaluator_class
from latent_ot.networks.base import Family
from latent_ot.networks.families import families, families_of
from latent_ot.published import table_names

VALUES = Path(__file__).parent / "values"
ELSEWHERE = [
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "1"},
    {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"},
    {stages.ROUNDING: "1e-6"},
]
"""Environments in which values are taken once more, to see how far apart they come out: with other instructions in
PyTorch's own kernels and in oneDNN's, and from weights a few roundings apart, for the processors not at hand."""
PRINT = "--print"
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


def of_stage(kind: str, part: str) -> dict[str, int]:
    """Return the versions that a trained stage is kept under: its own, and its networks' in every case."""
    versions = dict(lineage(stages.CATALOG.stage(kind, part)))
    for case in stages.cases(part):
        versions |= {family.__name__: family.version for family in families_of(stages.built(case))}
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
    by_file = discover("networks", Family)
    made = {name: (lambda name=name: measures.family(name), kind) for name, kind in families().items()}
    made |= {name: (make, by_file[name.removesuffix(".py")]) for name, make in measures.NETWORKS.items()}
    found = {}
    for name, (make, kind) in made.items():
        stated = {kind.__name__: kind.version}
        entry = Entry(f"networks/{name}", {"output": make}, lambda stated=stated: stated, tuple(stated))
        found[entry.name] = entry
    return found


def _evaluators() -> dict[str, Entry]:
    return {
        f"evaluators/{name}": Entry(
            f"evaluators/{name}",
            {"answers": lambda name=name: measures.evaluator(name)},
            lambda name=name: lineage(evaluator_class(name)),
            (evaluator_class(name).__name__,),
        )
        for name in measures.evaluators()
    }


def _metrics() -> dict[str, Entry]:
    kinds = {kind.__name__: kind for kind in metrics()}
    return {
        f"metrics/{name}": Entry(f"metrics/{name}", cases, lambda name=name: lineage(kinds[name]), (name,))
        for name, cases in measures.METRICS.items()
    }


def _sources() -> dict[str, Entry]:
    found = {}
    for name, make in sources.SOURCES.items():
        module = importlib.import_module(f"latent_ot.datasets.{name}")
        kinds = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        stated = {key: value for kind in kinds for key, value in lineage(kind).items()}
        names = tuple(kind.__name__ for kind in kinds if "version" in vars(kind))
        found[f"datasets/{name}"] = Entry(f"datasets/{name}", {"pixels": make}, lambda stated=stated: stated, names)
    return found


def _settings() -> dict[str, Entry]:
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
    stated = {name: (Search, Draws) if name == "inverted" else (Draws,) for name in measures.SCORING}
    return {
        f"scoring/{name}": Entry(
            f"scoring/{name}",
            {"drawn": measures.SCORING[name]},
            lambda kinds=kinds: {key: version for kind in kinds for key, version in lineage(kind).items()},
            tuple(kind.__name__ for kind in kinds),
        )
        for name, kinds in stated.items()
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


def take(entry: Entry) -> dict[str, Any]:
    """Return an entry's versions and numbers."""
    cases = {name: rounded(make()) for name, make in entry.cases.items()}
    return {"versions": entry.versions(), "cases": cases}


def apart(taken: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how far apart the values of entries come out elsewhere, in units of the bound, from a third of it on."""
    found: dict[str, dict[str, float]] = {name: {} for name in taken}
    for environment in ELSEWHERE:
        command = [sys.executable, __file__, PRINT, *taken]
        told = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
        for name, cases in json.loads(told.stdout).items():
            far = differences(taken[name]["cases"], cases, bound=1 / MARGIN)
            found[name] |= {at: max(round(value, 2), found[name].get(at, 0.0)) for at, value in far.items()}
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
        heads = "".join(f'  "{key}": {json.dumps(entry[key])},\n' for key in ("versions", "apart") if key in entry)
        rows.append(f' {json.dumps(name)}: {{\n{heads}  "cases": {{\n{cases}\n  }}\n }}')
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main(arguments: list[str]) -> None:
    """Take the named values and write them; after ``PRINT`` their numbers alone, to stdout."""
    if arguments[:1] == [PRINT]:
        print(json.dumps({entry.name: take(entry)["cases"] for entry in chosen(arguments[1:])}))
        return
    taken = {entry.name: take(entry) for entry in chosen(arguments)}
    groups: dict[str, dict[str, Any]] = {}
    for whole, far in apart(taken).items():
        group, _, name = whole.partition("/")
        groups.setdefault(group, {})[name] = taken[whole] | ({"apart": far} if far else {})
    for group, values in groups.items():
        path = VALUES / f"{group}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        known = {name.partition("/")[2] for name in entries() if name.startswith(f"{group}/")}
        path.write_text(dump({name: value for name, value in {**before, **values}.items() if name in known}))
        print(f"{path.name}: {', '.join(values)} ({sum(1 for _ in leaves(values))} values)")


if __name__ == "__main__":
    main(sys.argv[1:])
