"""What a stage is made of: names and versions of its classes and networks, and the hash of a user's own file.

No source text of the package enters, so a result outlives a change of words; a class that computes other numbers says
so by its version, which the golden values in the tests keep honest.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latent_ot.catalog import KIND, Catalog
from latent_ot.discovery import plugin_files
from latent_ot.errors import Declined, InputError
from latent_ot.identity import lineage

if TYPE_CHECKING:
    from latent_ot.stage import Stage

SMALL = {"count": 64, "images": 1, "width": 1e-9}
"""Of a stage that is built to see which networks it has: which they are depends on neither size nor length."""

MadeOf = Mapping[str, Mapping[str, int | str]]
"""Kind of part -> its classes -> their versions; of what is no class of the suite's, names -> hashes."""


def key_of(job: Mapping[str, Any]) -> str:
    """Return the key of a stage: 16 hex digits of a hash over all that decides its outcome.

    A part at version 1 stands for what has always been so and does not enter: splitting a class, or giving it a new
    base, moves no key until a version is raised. What is measured enters whole, so that a new metric is measured.
    """
    parts = {
        kind: {name: version for name, version in found.items() if kind == "metrics" or version != 1}
        for kind, found in job["made_of"].items()
    }
    settled = {**job, "made_of": {kind: found for kind, found in parts.items() if found}}
    return hashlib.sha256(json.dumps(settled, sort_keys=True).encode()).hexdigest()[:16]


def made_of(stage: "Stage") -> MadeOf:
    """Return what a trained stage is made of."""
    from latent_ot.networks.families import families_of

    families = families_of(stage)
    parts: MadeOf = {
        "stage": lineage(type(stage)),
        "networks": {family.__name__: family.version for family in families},
        "frozen": stage.frozen_parts(stage.config),
        **plugin_parts(type(stage), *families),
    }
    return {kind: found for kind, found in parts.items() if found}


def plugin_parts(*classes: type) -> MadeOf:
    """Return the hashes of the user's own files that hold classes; nothing for those of the suite."""
    found = plugin_files(*classes)
    return {"plugin": found} if found else {}


def small(
    catalog: Catalog,
    role: str,
    name: str,
    config: Any,
    shape: Sequence[int],
    parts: Sequence["Stage"],
    size: Mapping[str, Any] = SMALL,
) -> "Stage":
    """Build a stage of few examples and the narrowest networks, to look at what it is made of.

    Args:
        catalog: where the stage is found.
        role: of the stage in its method.
        name: of its file.
        config: its resolved settings.
        shape: of one training example.
        parts: the stages that a refinement starts from, built small too.
        size: ``count``, ``images`` and ``width`` of a ``Spec``.

    Raises:
        Declined: if the stage cannot be built for such examples, with the reason.
    """
    from latent_ot.bench.train import build
    from latent_ot.methods.base import Pair
    from latent_ot.stage import Spec

    base = [Pair(*parts)] if parts else []  # type: ignore[arg-type]  # their roles say so
    try:
        return build(catalog.stage(KIND[role], name), config, Spec(tuple(shape), **size), *base)  # type: ignore[arg-type]
    except InputError as reason:
        raise Declined(str(reason)) from None


def scoring(role: str, kind: str, evaluator: str | None, searched: bool = False) -> MadeOf:
    """Return what a stage that scores is made of.

    Args:
        role: "reconstruct" or "evaluate".
        kind: of the data set, "image" or "points".
        evaluator: the feature network's name; None for points.
        searched: whether images are reconstructed by a search over codes.
    """
    from latent_ot.bench.sampling import Draws
    from latent_ot.methods._inversion import Search
    from latent_ot.metrics.base import ALONE, Measures, metrics, metrics_for
    from latent_ot.metrics.evaluators.find import evaluator_class
    from latent_ot.samplers.gaussian import Gaussian

    measured: tuple[Measures, ...] = ("samples", "pairs", "pictures", "copies", "walks", "codes", "prior", "scores")
    measured = measured if kind == "image" else ("points", "point_walks", "qualities", "codes", "prior", "scores")
    measured += (ALONE[evaluator],) if evaluator and evaluator in ALONE else ()
    measured = ("reconstructions",) if role == "reconstruct" else measured
    used: list[type] = [*metrics(*measured)]
    parts: dict[str, Mapping[str, int | str]] = {"metrics": metrics_for(*measured), "draws": lineage(Draws)}
    if role == "reconstruct":
        parts["start"] = lineage(Gaussian)
        parts |= {"search": lineage(Search)} if searched else {}
    elif evaluator:
        used.append(evaluator_class(evaluator))
        parts["evaluator"] = lineage(used[-1])
    return {**parts, **plugin_parts(*used)}


def scored_by(catalog: Catalog, job: Mapping[str, Any], kind: str, evaluator: str | None) -> MadeOf:
    """Return what the stage of a ``job`` that scores is made of; see ``scoring``."""
    searched = job["role"] == "reconstruct" and catalog.stage("methods", job["name"]).searches()  # type: ignore[attr-defined]
    return scoring(job["role"], kind, evaluator, searched)
