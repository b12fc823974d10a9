"""What there is to run, and what this machine has for it: behind ``latent-ot list`` and ``latent-ot doctor``."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from latent_ot.catalog import Catalog
from latent_ot.errors import InputError, choose
from latent_ot.record import plain

if TYPE_CHECKING:
    from latent_ot.bench.request import Request
    from latent_ot.bench.trackers.base import Tracker

OTHER = """
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1]).acquire(timeout=0)
except Timeout:
    print("held")
"""
"""What another process does to find out whether a lock is held."""


def inventory(catalog: Catalog) -> dict[str, Any]:
    """Return everything that has a name, as a program reads it.

    Keys: ``methods`` (each with ``name``, ``stages``, ``paper``, what it ``trains_on`` and, in a line, what it is
    ``about``), ``representations``, ``samplers``, ``datasets``, ``evaluators``, ``budgets``, ``tables``. A paper is
    one of the suite's five by its key, else the link or the title that the method's file names first, else None.
    """
    from latent_ot.budgets import settings
    from latent_ot.datasets.base import names as datasets
    from latent_ot.metrics.evaluators.find import names as evaluators
    from latent_ot.published import table_names

    return {
        "methods": [_method(catalog, name) for name in catalog.method_names()],
        "representations": [*catalog.representations("image"), *catalog.representations("points")],
        "samplers": catalog.sampler_names(),
        "datasets": [*datasets(), "folder:PATH"],
        "evaluators": evaluators(),
        "budgets": list(settings()["budgets"]),
        "tables": table_names(),
    }


def _method(catalog: Catalog, name: str) -> dict[str, Any]:
    recipe = catalog.recipe(name)
    pair = catalog.pairs.get(name)
    return {
        "name": name,
        "stages": list(recipe.parts),
        "paper": recipe.paper or (None if pair else catalog.source("methods", name)),
        "trains_on": [{"image": "images"}.get(kind, kind) for kind in catalog.accepts(name)],
        "about": pair["differs"] if pair else catalog.summary("methods", name),
    }


def _sampler(catalog: Catalog, name: str) -> dict[str, Any]:
    return {"paper": catalog.source("samplers", name), "about": catalog.summary("samplers", name)}


def card(request: "Request") -> dict[str, Any]:
    """Return what the one method of a request is, as a program reads it, for its data set at its budget.

    A latent sampler's name alone stands for its one stage, on the codes of PCA or on 2-D points.

    Keys: ``name``, ``about``, ``paper``, ``dataset``, ``budget`` and ``stages``, each with ``name``, ``role``, what it
    is ``about``, its ``networks`` (name -> trained parameters) and ``settings``: ``name``, ``value``, the ``default``,
    what is ``allowed`` and the ``source``.

    Raises:
        InputError: for an unknown method, data set or budget, or a method that does not take the data set.
    """
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.plan import Planner
    from latent_ot.catalog import KIND
    from latent_ot.datasets.base import find

    catalog, (name,) = Catalog(request.plugins), request.methods
    alone = name in catalog.sampler_names() and name not in catalog.method_names()
    if alone:
        representation = "points" if find(request.dataset, request.data_dir).kind == "points" else "pca"
        request = replace(request, methods=[f"{representation}+{name}"])
    elif "+" not in name:
        choose("method or latent sampler", name, {*catalog.method_names(), *catalog.sampler_names()})
    benchmark = Benchmark(request)
    planner = Planner(catalog, benchmark.facts, benchmark.budget, lambda: benchmark.protocols[0], request.overrides)
    plan = planner.training(benchmark.methods[0], 0)
    if plan.declined:
        raise InputError(plan.declined)
    known = _sampler(catalog, name) if alone else _method(catalog, name)
    stages = []
    for job, stage in islice(planner.built(plan), int(alone), None):
        kind, fields = KIND[job["role"]], type(stage.config).model_fields
        settings = [
            {
                "name": f"{job['name']}.{key}",
                "value": plain(getattr(stage.config, key)),
                "default": plain(info.default),
                "allowed": allowed(info),
                "source": info.description,
            }
            for key, info in fields.items()
        ]
        networks = {key: count for key, count in stage.sizes().items() if count}
        about = catalog.summary(kind, job["name"])
        stages.append({"name": job["name"], "role": job["role"], "about": about, "networks": networks})
        stages[-1]["settings"] = settings
    head = {"name": name, "about": known["about"], "paper": known["paper"]}
    return {**head, "dataset": benchmark.dataset.id, "budget": benchmark.budget.name, "stages": stages}


def allowed(info: Any) -> str:
    """Return what a setting may be, in words: its choices, or its type and bounds."""
    from latent_ot.networks.families import Among

    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    families = [name for kind in info.metadata if isinstance(kind, Among) for name in kind.names]
    if families:
        return f"{', '.join(families)}, or a family of your own"
    bounds = [f"{sign} {getattr(m, key)}" for m in info.metadata for key, sign in signs.items() if hasattr(m, key)]
    return " ".join([_type(info.annotation), *bounds])


def _type(annotation: Any) -> str:
    """Return a type as a person writes values of it."""
    inner = [_type(part) for part in get_args(annotation) if get_origin(annotation) is not Literal]
    if get_origin(annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(inner)
    if inner:
        return f"{get_origin(annotation).__name__} of {', '.join(inner)}"
    return "none" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def told(found: Mapping[str, Any]) -> str:
    """Return a method's card as text."""
    lines = [f"{found['name']}: {found['about']}", f"paper: {found['paper'] or 'none'}"]
    for stage in found["stages"]:
        total = sum(stage["networks"].values())
        made = ", ".join(f"{key} {count:,}" for key, count in stage["networks"].items() if key)
        lines += ["", f"{stage['role']} {stage['name']}: {stage['about']}"]
        where = f"on {found['dataset']} at budget {found['budget']}"
        lines.append(f"  {total:,} parameters {where}" + (f": {made}" if made else ""))
        for setting in stage["settings"]:
            value = json.dumps(setting["value"])
            other = "" if setting["value"] == setting["default"] else f", default {json.dumps(setting['default'])}"
            lines.append(f"  {setting['name']} = {value}  ({setting['allowed']}{other})")
            lines += textwrap.wrap(setting["source"] or "", 110, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def diagnosis(data_dir: Path, store: Path) -> Iterator[tuple[str, str]]:
    """Yield (part, state): processor, GPUs, versions, data sets, evaluators, dashboards, store; and what is to do.

    Of a store that is there, what its disk makes of a lock that this process holds and another asks for.
    """
    import torch

    from latent_ot.bench import machine
    from latent_ot.bench.trackers.base import names as trackers
    from latent_ot.bench.trackers.base import tracker
    from latent_ot.datasets.base import available
    from latent_ot.losses.backbones import NEEDS_WEIGHTS
    from latent_ot.metrics.evaluators.find import names as evaluators

    yield "cpu", f"{machine.cpu_model()}, {machine.cores()} cores"
    for index in range(torch.cuda.device_count()):
        yield f"gpu {index}", torch.cuda.get_device_name(index)
    if not torch.cuda.is_available():
        yield "gpu", "none found; stages run on the CPU, and budgets above ci want a GPU"
    yield from machine.versions().items()
    for name, state in available(data_dir).items():
        yield f"data {name}", state
    for name in evaluators():
        yield f"evaluator {name}", _weights(name)
    for name in NEEDS_WEIGHTS:
        yield f"backbone {name}", _backbone(name)
    for name in trackers():
        if (kind := tracker(name)).needs:
            yield name, _dashboard(kind)
    yield "store", _locks(store) if store.is_dir() else f"none at {store} yet; the first run makes it"


def _locks(store: Path) -> str:
    """Say whether a disk keeps locks."""
    from latent_ot.bench.store import Store

    found = Store(store)
    found.check_writable()
    name = f"doctor-{os.getpid()}"
    try:
        with found.claim(name) as mine:
            held = [sys.executable, "-c", OTHER, str(found.locks / f"{name}.lock")]
            kept = mine and subprocess.run(held, capture_output=True, text=True).stdout.strip() == "held"
    finally:
        (found.locks / f"{name}.lock").unlink(missing_ok=True)
    return "ready, its disk keeps locks" if kept else "its disk keeps no locks: let one command at a time use it"


def _dashboard(kind: "type[Tracker]") -> str:
    try:
        kind.check()
    except InputError as error:
        return str(error)
    return kind.notice() or "ready"


def _weights(evaluator: str) -> str:
    from latent_ot.metrics.evaluators.find import evaluator_class, load_evaluator

    if why := evaluator_class(evaluator).lacks(evaluator):
        return why
    try:
        return f"ready, sha256 {load_evaluator(evaluator).checksum[:8]}"
    except InputError as error:
        return str(error)


def _backbone(name: str) -> str:
    from latent_ot.losses.backbones import require_backbone

    try:
        require_backbone(name)
    except InputError as error:
        return str(error)
    return "ready"
