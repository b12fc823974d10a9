"""What there is to run, and what this machine has for it: behind ``latent-ot list`` and ``latent-ot doctor``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latent_ot.catalog import Catalog
from latent_ot.errors import InputError


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
    accepts = getattr(catalog.stage("methods", recipe.parts[0]), "accepts", ("image",))
    return {
        "name": name,
        "stages": list(recipe.parts),
        "paper": recipe.paper or (None if pair else catalog.source("methods", name)),
        "trains_on": ["images", "points"] if pair else [{"image": "images"}.get(kind, kind) for kind in accepts],
        "about": pair["differs"] if pair else catalog.summary("methods", name),
    }


def diagnosis(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield (part, state): processor, GPUs, versions, data sets, evaluators, dashboard; and what to do if one lacks."""
    import torch

    from latent_ot.bench import machine
    from latent_ot.bench.tracking import state as dashboard
    from latent_ot.datasets.base import available
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
    mode, why = dashboard()
    yield "wandb", f"{mode}: {why}"


def _weights(evaluator: str) -> str:
    from latent_ot.metrics.evaluators.find import load_evaluator
    from latent_ot.metrics.evaluators.inception import kept

    if evaluator == "inception" and not kept().is_file():
        return "not here: downloaded at its first use (91 MB), or pass a file as --inception-weights"
    try:
        return f"ready, sha256 {load_evaluator(evaluator).checksum[:8]}"
    except InputError as error:
        return str(error)
