"""Settings that a user changes: read from text, and no larger than the data and this machine allow.

No torch is imported before a stage is looked at.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latent_ot.errors import InputError

if TYPE_CHECKING:
    from latent_ot.stage import Stage

Settings = dict[str, dict[str, Any]]
"""Part of a method -> key -> value."""
MOST = 1_000_000
"""Of a setting that is a whole number: a count of layers, channels, images a step, iterations."""


def parse_overrides(settings: Sequence[str]) -> Settings:
    """Read ``NAME.KEY=VALUE`` settings, e.g. ``gldo.eps=0.3``.

    Raises:
        InputError: for anything of another form, or a setting that is given two values.
    """
    pairs = []
    for text in settings:
        target, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"setting '{text}' is not of the form NAME.KEY=VALUE, e.g. gldo.eps=0.3")
        pairs.append((target, _value(target, value)))
    return by_part(pairs)


def by_part(pairs: Iterable[tuple[str, Any]]) -> Settings:
    """Sort (``NAME.KEY``, value) pairs by their parts.

    Raises:
        InputError: for a name of another form, or a setting that is given two values.
    """
    found: Settings = {}
    for target, value in pairs:
        name, dot, key = str(target).partition(".")
        if not (dot and name.strip() and key.strip()):
            raise InputError(f"setting '{target}={value}' is not of the form NAME.KEY=VALUE, e.g. gldo.eps=0.3")
        before = found.setdefault(name, {}).setdefault(key, value)
        if repr(before) != repr(value):
            raise InputError(f"setting '{target}' is given twice, as {before!r} and as {value!r}; allowed: once")
    return found


def _value(target: str, text: str) -> Any:
    """Return what a value's text says: a number as people write them, else what it is in YAML, where 1:30 is text."""
    import yaml

    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    if text.strip() == "None":  # how a record's command writes that there is none
        return None
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that no calendar has
        raise InputError(f"setting '{target}' = '{text}': allowed: a number, a word, true, false or null") from None
    return found if found is None or isinstance(found, bool | str | list | dict) else text.strip()


def check_size(name: str, config: Any, chosen: Iterable[str], limits: Mapping[str, int]) -> None:
    """Refuse whole numbers above those that the data allow, or above ``MOST``, among the settings that a user chose.

    Raises:
        InputError: naming the setting, its value and what is allowed.
    """
    for key in chosen:
        value = getattr(config, key, None)
        most = limits.get(key, MOST)
        if isinstance(value, int) and value > most:
            of = " on these data" if key in limits else ""
            raise InputError(f"{name}: setting '{key}' = {value}; allowed{of}: at most {most}; nearest: {most}")


def check_memory(name: str, make: "Callable[[], Stage]") -> None:
    """Refuse settings whose weights, at their full size, are more than this machine can train, before any is made.

    Args:
        name: of the part.
        make: builds it. Here its tensors have no memory, which not every constructor can do without: it then ends
            early, and what it made until then counts. What else is wrong with it is said when it is built small.

    Raises:
        InputError: with what it needs and what there is.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def refuse(size: int) -> None:
        if 2 * size > there:  # beside its gradient nothing would fit any more
            raise MemoryError(f"{size / 2**30:,.1f} GiB of weights; this machine has {there / 2**30:,.1f} GiB")

    class Weighed(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                refuse(made.numel() * made.element_size())
            return made

    try:
        with torch.device("meta"), Weighed():
            stage = make()
        refuse(sum(t.numel() * t.element_size() for t in (*stage.parameters(), *stage.buffers())))
    except MemoryError as size:
        raise InputError(f"{name}: with these settings it asks for {size}") from None
    except Exception:
        return
