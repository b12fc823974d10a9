"""What a class of each kind must state and define, looked at when a user's own file is taken in, before any work."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from latent_ot.config import Config
from latent_ot.datasets.source import Source
from latent_ot.discovery import broken, defined, discover, files, plugin_of, the_class
from latent_ot.errors import InputError
from latent_ot.methods.base import Method
from latent_ot.metrics.base import Measures, Metric
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.networks.base import Family
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Stage

BASES: dict[str, type] = {
    "methods": Method, "samplers": LatentSampler, "datasets": Source, "metrics": Metric, "evaluators": Evaluator,
    "networks": Family,
}  # fmt: skip
"""Kind of part -> what its class is a subclass of."""
FOLDERS = {**{kind: kind for kind in BASES}, "evaluators": "metrics/evaluators"}
NAME = r"\w[\w-]*"
TAKEN = ("all", "data")  # what stands for every method, and the row of real data


def kinds_of(module: ModuleType, path: Path) -> list[str]:
    """Return which kinds of part a user's own file defines, once it keeps the rules of each.

    Raises:
        InputError: if it defines none, several of a kind, or one that breaks a rule; it names the file and the rule.
    """
    if not re.fullmatch(NAME, path.stem) or path.stem in TAKEN:
        raise InputError(f"plugin '{path.name}': a part is called as its file; allowed: letters, digits, _ and -")
    found = [kind for kind, base in BASES.items() if defined(module, base)]
    if not found:
        allowed = ", ".join(base.__name__ for base in BASES.values())
        raise InputError(f"plugin '{path.name}' defines no part of a suite; allowed: a subclass of one of {allowed}")
    for kind in found:
        part: type[Any] = the_class(kind, path.stem, module, BASES[kind])
        if kind in ("methods", "samplers") and path.stem in files(kind):
            raise broken(part, f"{kind[:-1]} '{path.stem}' is one of the suite's; allowed: a file name of its own")
        for rule in breaches(kind, part):
            raise broken(part, rule)
    return found


def breaches(kind: str, part: type) -> Iterator[str]:
    """Yield each rule that a class of a kind breaks."""
    version = getattr(part, "version", 1 if kind in ("methods", "samplers") else None)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        yield f"version = {version!r}; allowed: a whole number from 1, raised when its numbers change"
    abstract = sorted(getattr(part, "__abstractmethods__", ()))
    if abstract:
        yield f"{part.__name__} does not define {', '.join(abstract)}"
    yield from OF[kind](part)


def own(part: type, base: type, *names: str) -> bool:
    """Whether a class or one between it and ``base`` defines one of some methods itself."""
    between = part.__mro__[: part.__mro__.index(base)]
    return any(name in vars(cls) for cls in between for name in names)


def _stage(part: type[Stage]) -> Iterator[str]:
    if not (isinstance(part.Config, type) and issubclass(part.Config, Config)):
        yield f"Config = {part.Config!r}; allowed: a subclass of latent_ot.config.Config"


def _method(part: type[Method]) -> Iterator[str]:
    yield from _stage(part)
    if part.role not in ("representation", "end_to_end"):
        yield f"role = {part.role!r}; allowed: 'representation', 'end_to_end'"
    accepts = part.accepts
    if not isinstance(accepts, tuple) or not accepts or not {*accepts} <= {"image", "points"}:
        yield f"accepts = {accepts!r}; allowed: a tuple of 'image' and 'points'"
    if part.closed_form and not own(part, Method, "fit"):
        yield "closed_form = True and no fit(images); allowed: one that fits on all training images"
    if not part.closed_form and not own(part, Method, "training_step"):
        yield "no training_step(batch, batch_idx); allowed: one, or closed_form = True and fit(images)"
    if not part.closed_form and not own(part, Method, "configure_optimizers"):
        yield "no configure_optimizers(); allowed: one that returns the optimizers of its networks"
    if part.role == "representation" and not (own(part, Method, "decode") and own(part, Method, "encode", "codes")):
        yield "a representation without decode(z), and encode(x) or codes(images); allowed: both"


def _sampler(part: type[LatentSampler]) -> Iterator[str]:
    yield from _stage(part)
    if not part.closed_form and not own(part, LatentSampler, "training_step"):
        yield "closed_form = False and no training_step(batch, batch_idx); allowed: one, or _fit(codes) alone"
    if part.maps and not own(part, LatentSampler, "transport"):
        yield "maps = True and no transport(w); allowed: one that maps source points to codes"
    if not own(part, LatentSampler, "_sample", "sample", "transport"):
        yield "no _sample(n, generator); allowed: one that returns codes (n, d)"


def _names(kind: str, part: type, names: Any, allowed: str) -> Iterator[str]:
    if (
        not isinstance(names, tuple)
        or not names
        or not all(isinstance(n, str) and re.fullmatch(NAME, n) for n in names)
    ):
        yield f"names = {names!r}; allowed: a tuple of one or more {allowed}"
        return
    yield from _taken(kind, part, {*names}, lambda other: {*getattr(other, "names", ())})


def _taken(kind: str, part: type, names: set[str], of: Callable[[type], set[Any]]) -> Iterator[str]:
    """Yield that a name is taken by the suite or by another file of the user."""
    others: dict[str, type[Any]] = discover(FOLDERS[kind], BASES[kind])
    for other in others.values():
        file = plugin_of(other)
        for name in (
            sorted(names & of(other)) if other is not part and (file is None or file != plugin_of(part)) else ()
        ):
            whose = f"that of '{file.name}'" if file else "one of the suite's"
            yield f"the name '{name}' is {whose}; allowed: a name of its own"


def _source(part: type[Source]) -> Iterator[str]:
    yield from _names("datasets", part, part.names, "names of data sets")
    if part.kind not in ("image", "points"):
        yield f"kind = {part.kind!r}; allowed: 'image', 'points'"


def _evaluator(part: type[Evaluator]) -> Iterator[str]:
    yield from _names("evaluators", part, getattr(part, "names", None), "names of evaluators")


def _metric(part: type[Metric]) -> Iterator[str]:
    quantities = getattr(part, "quantities", None)
    if (
        not isinstance(quantities, Mapping)
        or not quantities
        or not all(isinstance(q, Mapping) for q in quantities.values())
    ):
        yield f"quantities = {quantities!r}; allowed: key -> {{'label': ..., 'direction': ..., 'digits': ...}}"
    measures = getattr(part, "measures", None)
    if measures not in get_args(Measures):
        yield f"measures = {measures!r}; allowed: {', '.join(get_args(Measures))}"
    if not callable(getattr(part, "compute", None)):
        yield "no compute(...); allowed: a static method that returns a mapping with the keys of its quantities"


def _family(part: type[Family]) -> Iterator[str]:
    if part.name is None:
        return
    if not isinstance(part.name, str) or not re.fullmatch(NAME, part.name):
        yield f"name = {part.name!r}; allowed: letters, digits, _ and -"
    yield from _taken("networks", part, {part.name}, lambda other: {getattr(other, "name", None)})
    for name in ("generator", "critic"):
        if not callable(getattr(part, name, None)):
            yield f"no {name}; allowed: what builds one, see networks/base.py"
    span = getattr(part, "data_range", None)
    if not (isinstance(span, tuple) and len(span) == 2 and all(isinstance(v, int | float) for v in span)):
        yield f"data_range = {span!r}; allowed: UNIT or SIGNED of networks/base.py"


OF: dict[str, Callable[[Any], Iterator[str]]] = {
    "methods": _method, "samplers": _sampler, "datasets": _source, "metrics": _metric, "evaluators": _evaluator,
    "networks": _family,
}  # fmt: skip

__all__ = ["BASES", "breaches", "kinds_of"]
