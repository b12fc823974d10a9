"""What there is to run: methods and latent samplers are found by their file's name, named pairs by ``pairs.yaml``."""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from latent_ot.discovery import defined
from latent_ot.errors import InputError, choose

if TYPE_CHECKING:
    from latent_ot.stage import Stage

PACKAGE = Path(__file__).parent
KIND = {"train": "methods", "sampler": "samplers", "refine": "methods"}
"""Roles of trained stages, in the order in which a method has them -> the kind of file that defines the stage."""


@dataclass(frozen=True)
class Recipe:
    """How a method name is made: one end-to-end stage, or a representation and a latent sampler, perhaps refined."""

    name: str
    parts: tuple[str, ...]
    paper: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the name fixes: part -> its settings."""


class Catalog:
    """Names of methods and samplers; a user's own files join through ``plugins``.

    Raises:
        InputError: if a plugin is not a Python file, or holds no method and no sampler.
    """

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        self.files: dict[str, dict[str, Path]] = {
            kind: {p.stem: p for p in sorted((PACKAGE / kind).glob("*.py")) if p.stem not in ("__init__", "base")}
            for kind in dict.fromkeys(KIND.values())
        }
        self.pairs = {row["name"]: row for row in yaml.safe_load((PACKAGE / "methods" / "pairs.yaml").read_text())}
        self.plugins = tuple(Path(p).resolve() for p in plugins)
        for path in self.plugins:
            if path.suffix != ".py" or not path.is_file():
                raise InputError(
                    f"plugin '{path.name}' is not a Python file; allowed: a .py file with one method or sampler"
                )
            kind = "samplers" if "LatentSampler" in path.read_text() else "methods"
            self.files[kind][path.stem] = path

    def method_names(self) -> list[str]:
        """Every name that a bench accepts as it stands (any ``representation+sampler`` is accepted too)."""
        return sorted({*self.files["methods"], *self.pairs})

    def sampler_names(self) -> list[str]:
        """Every latent sampler."""
        return sorted(self.files["samplers"])

    def docstring(self, kind: str, name: str) -> str:
        """Return the file's docstring, read without importing it; empty if it has none."""
        return ast.get_docstring(ast.parse(self.files[kind][name].read_text())) or ""

    def pair_name(self, representation: str, sampler: str) -> str:
        """Return the shortest name of a pair: a named one, the representation's own if the sampler is its default."""
        for name, row in self.pairs.items():
            if (row["representation"], row["sampler"]) == (representation, sampler) and "settings" not in row:
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

    def summary(self, kind: str, name: str) -> str:
        """Return the first line of the file's docstring."""
        return self.docstring(kind, name).partition("\n")[0]

    def source(self, kind: str, name: str) -> str | None:
        """Return the paper that the file's docstring names first: its link, else its title; None if it names none."""
        text = self.docstring(kind, name)
        link, title = re.search(r"https?://[\w./-]*[\w/]", text), re.search(r'"([^"]+)"', text)
        return link.group() if link else " ".join(title.group(1).split()) if title else None

    def module(self, kind: str, name: str) -> ModuleType:
        """Import the file that defines a method or a sampler."""
        path = self.files[kind][choose(kind[:-1], name, self.files[kind])]
        if path not in self.plugins:
            return importlib.import_module(f"latent_ot.{kind}.{name}")
        qualified = f"latent_ot_plugin_{name}"
        if qualified not in sys.modules:
            spec = importlib.util.spec_from_file_location(qualified, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[qualified] = module
            spec.loader.exec_module(module)
        return sys.modules[qualified]

    def stage(self, kind: str, name: str) -> "type[Stage]":
        """Return the one stage class that the file defines."""
        from latent_ot.stage import Stage

        found = defined(self.module(kind, name), Stage)
        if len(found) != 1:
            raise InputError(f"{kind[:-1]} file '{name}.py' defines {len(found)} stages; allowed: exactly one")
        return found[0]

    def recipe(self, name: str, kind: str = "image") -> Recipe:
        """Resolve a method name for a data set of the given kind ("image" or "points").

        2-D points are their own codes, so there the representation of a pair is ``points``.
        """
        if "+" in name:
            representation, _, sampler = name.partition("+")
            choose("representation", representation, self.files["methods"])
            choose("latent sampler", sampler, self.files["samplers"])
            return Recipe(name, (representation, sampler))
        choose("method", name, self.method_names())
        if name in self.pairs:
            row = self.pairs[name]
            representation = "points" if kind == "points" else row["representation"]
            return Recipe(name, (representation, row["sampler"]), row["paper"], row.get("settings", {}))
        stage = self.stage("methods", name)
        if getattr(stage, "role", None) == "representation":
            return Recipe(name, (name, stage.default_sampler))  # type: ignore[attr-defined]
        if refined := getattr(stage, "refines", None):
            base = self.recipe(refined, kind)
            return Recipe(name, (*base.parts, name), settings=base.settings)
        return Recipe(name, (name,))
