"""Typed, frozen settings: one ``Config`` subclass stands beside each method, sampler and solver."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, create_model, field_validator

from latent_ot.errors import InputError, nearest


class Config(BaseModel):
    """Base of every settings class. A field's default is the paper's value and its description says where it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _a_switch_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number, which pydantic and Python take for 1 and 0."""
        given = value if isinstance(value, list | tuple) else [value]
        kinds = set(_leaves(cls.model_fields[str(info.field_name)].annotation))
        if any(isinstance(v, bool) for v in given) and kinds & {int, float} and not kinds & {bool, Any}:
            raise ValueError("allowed: a number")
        return value

    @classmethod
    def build(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check ``values`` and return the settings.

        Raises:
            InputError: one line with the key, its value, what is allowed and the nearest valid name.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "settings"
            if first["type"] == "extra_forbidden":
                allowed = sorted(cls.model_fields)
                listed = ", ".join(allowed) or "nothing, it has no settings"
                raise InputError(
                    f"{where}: setting '{key}' is unknown; allowed: {listed}{nearest(key, allowed)}"
                ) from None
            why = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{where}: setting '{key}' = {first['input']!r}: {why}") from None


def _leaves(annotation: Any) -> list[Any]:
    """Return the types that a type is put together of."""
    parts = get_args(annotation)
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [annotation]


def added(default: Any, **field: Any) -> Any:
    """Return a field for a setting that a class did not always have; what its default does is what was always done.

    At the default it is left out of the resolved settings that name a stage, so that results from before it stay, and
    tables and claims that mean the default leave it out, too: no record states it.
    """
    return Field(default, exclude_if=lambda value: value == default, **field)


class Trained(Config):
    """Settings of a method that is trained by steps."""

    precision: Literal["float32", "bf16"] = added(
        "float32",
        description="of products and convolutions in training; bf16, the suite's: autocast to bfloat16",
    )


def keywords(function: Callable[..., Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check ``values`` for the keyword-only parameters of a function by their types. Raises: see ``Config.build``."""
    known = (p for p in signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY)
    fields: Any = {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in known}
    return dict(create_model(function.__name__, __base__=Config, **fields).build(values, where))
