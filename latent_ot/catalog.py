"""What there is to run: methods and latent samplers are found by their file's name, named pairs by ``pairs.yaml``."""

import ast
import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from latent_ot.discovery import PACKAGE, files, plug_in, the_class, unplug
from latent_ot.errors import InputError, choose
from latent_ot.files import read_yaml
from latent_ot.quantities import learn

if TYPE_CHECKING:
    from latent_ot.stage import Stage

KIND = {"train": "methods", "sampler": "samplers", "refine": "methods"}
"""Roles of trained stages, in the order in which a method has them -> the kind of file that defines the stage."""
SCORING = ("reconstruct", "evaluate")
"""Roles of stages that train nothing."""


@dataclass(frozen=True)
class Recipe:
    """How a method name is made: one end-to-end stage, or a representation and a latent sampler, perhaps refined."""

    name: str
    parts: tuple[str, ...]
    paper: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the name fixes: part -> its settings."""


class Catalog:
    """Names of methods and samplers; a user's own files, of whatever kind, join through ``plugins``.

    Raises:
        InputError: if a plugin is not a Python file, cannot be imported, or defines nothing of the suite's.
    """

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        self.files = {kind: files(kind) for kind in dict.fromkeys(KIND.values())}
        self.pairs = {row["name"]: row for row in read_yaml(PACKAGE / "methods" / "pairs.yaml", list)}
        own: dict[str, Path] = {}
        for path in dict.fromkeys(Path(path).resolve() for path in plugins):
            if path.stem in {*own, *self.pairs}:
                other = f"'{own[path.stem]}'" if path.stem in own else "a method of the suite"
                raise InputError(f"plugin '{path}' has the name of {other}; allowed: a file name of its own")
            own[path.stem] = path
            module = plug_in(path)
            try:
                for kind in self._kinds(module, path):
                    self.files.setdefault(kind, {})[path.stem] = path
            except InputError:
                unplug(path)
                raise

    @staticmethod
    def _kinds(module: ModuleType, path: Path) -> list[str]:
        from latent_ot.metrics.base import Metric
        from latent_ot.rules import kinds_of

        found = kinds_of(module, path)
        if "metrics" in found:
            learn(the_class("metrics", path.stem, module, Metric).quantities, path.name)
        return found

    def method_names(self) -> list[str]:
        """Every name that a bench accepts as it stands (any ``representation+sampler`` is accepted too)."""
        return sorted({*self.files["methods"], *self.pairs})

    def sampler_names(self) -> list[str]:
        """Every latent sampler."""
        return sorted(self.files["samplers"])

    def docstring(self, kind: str, name: str) -> str:
        """Return the file's docstring, read without importing it; empty if it has none."""
        return ast.get_docstring(ast.parse(self.files[kind][name].read_bytes())) or ""  # it states its own encoding

    def pair_name(self, representation: str, sampler: str) -> str:
        """Return the shortest name of a pair: a named one, the representation's own if the sampler is its default."""
        for name, row in self.pairs.items():
            if "settings" not in row and (row["representation"], row["sampler"]) == (representation, sampler):
                return name
        default = getattr(self.stage("methods", representation), "default_sampler", None)
        return representation if sampler == default else f"{representation}+{sampler}"

    def representations(self, kind: str = "image") -> list[str]:
        """Return the representations of data sets of a kind, "image" or "points"."""
        stages = {name: self.stage("methods", name) for name in self.files["methods"]}
        return sorted(
            name
            for name, stage in stages.items()
            if getattr(stage, "role", None) == "representation" and kind in getattr(stage, "accepts", ("image",))
        )

    def methods_for(self, kind: str = "image") -> list[str]:
        """Return every name that a bench accepts and that data sets of a kind, "image" or "points", can be given to."""
        return [name for name in self.method_names() if kind in self.accepts(name)]

    def accepts(self, name: str) -> tuple[str, ...]:
        """Return the kinds of data sets that a method takes; 2-D points are a named pair's codes.

        A pair that is a setting of its representation, with its usual sampler, is nothing of its own on them.
        """
        row = self.pairs.get(name, {})
        first = row.get("representation") or self.recipe(name).parts[0]
        stage = self.stage("methods", first)
        own = getattr(stage, "accepts", ("image",))
        usual = getattr(stage, "default_sampler", None)
        anywhere = "sampler" in row and (first not in row.get("settings", {}) or row["sampler"] != usual)
        return tuple(kind for kind in ("image", "points") if kind in own or (kind == "points" and anywhere))

    def summary(self, kind: str, name: str) -> str:
        """Return the first line of the file's docstring."""
        return self.docstring(kind, name).partition("\n")[0]

    def source(self, kind: str, name: str) -> str | None:
        """Return the paper that the file's docstring names first: its link, else its title; None if it names none."""
        text = self.docstring(kind, name)
        link, title = re.search(r"https?://[\w./-]*[\w/]", text), re.search(r'"([^"]+)"', text)
        return link.group() if link else " ".join(title.group(1).split()) if title else None

    def stage(self, kind: str, name: str) -> "type[Stage]":
        """Return the class of a method or a sampler."""
        from latent_ot.stage import Stage

        path = self.files[kind][choose(kind[:-1], name, self.files[kind])]
        own = path.parent != PACKAGE / kind
        module = plug_in(path) if own else importlib.import_module(f"latent_ot.{kind}.{name}")
        return the_class(kind, name, module, Stage)

    def recipe(self, name: str, kind: str = "image") -> Recipe:
        """Resolve a method name for a data set of the given kind ("image" or "points").

        2-D points are their own codes, so there the representation of a pair is ``points``.
        """
        if "+" in name:
            representation, _, sampler = name.partition("+")
            if representation not in self.files["methods"]:
                choose("representation", representation, self.representations(kind))
            if (role := getattr(self.stage("methods", representation), "role", None)) != "representation":
                allowed = ", ".join(self.representations(kind))
                raise InputError(f"representation '{representation}' is none, it is {role}; allowed: {allowed}")
            choose("latent sampler", sampler, self.files["samplers"])
            return Recipe(name, (representation, sampler))
        choose("method", name, self.method_names())
        if name in self.pairs:
            row = self.pairs[name]
            if "method" in row:
                base = self.recipe(row["method"], kind)
                return Recipe(name, base.parts, row["paper"], {**base.settings, **row["settings"]})
            representation = "points" if kind == "points" else row["representation"]
            return Recipe(name, (representation, row["sampler"]), row["paper"], row.get("settings", {}))
        stage = self.stage("methods", name)
        if getattr(stage, "role", None) == "representation":
            return Recipe(name, (name, stage.default_sampler))  # type: ignore[attr-defined]
        if refined := getattr(stage, "refines", None):
            base = self.recipe(refined, kind)
            return Recipe(name, (*base.parts, name), settings=base.settings)
        return Recipe(name, (name,))


@cache
def suite() -> Catalog:
    """Return the catalog without a user's own files, read once; not to be changed."""
    return Catalog()
