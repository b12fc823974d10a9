"""When golden values agree, and what a disagreement says."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

RELATIVE = {"moved": 5e-3}
"""Kind of value -> bound on its relative deviation; 1e-3 for all others."""
FLOOR = 0.1  # of a list's root mean square, in place of values that are smaller
OF_SIZE = 0.03  # of the root mean square of what a statistic is taken of: below it lies rounding
MARGIN = 3.0  # on how far apart another processor's numbers were seen to be
NOTHING = {"losses": 1e-2}  # kind of value -> what is as good as 0; 1e-7 for all others


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (keys, numbers or text) of nested dictionaries."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, values


def deviation(golden: Any, found: Any, path: tuple[str, ...], size: float = 0.0) -> float:
    """Return how far two values lie apart in units of the bound, infinite where they cannot be compared.

    ``size``: root mean square of what they are statistics of, if they are.
    """
    one, other = ([x] if not isinstance(x, list) else x for x in (golden, found))
    if len(one) != len(other):
        return math.inf
    if not all(isinstance(x, int | float) for x in (*one, *other)):
        return 0.0 if one == other else math.inf
    bound = next((RELATIVE[key] for key in path if key in RELATIVE), 1e-3)
    nothing = next((NOTHING[key] for key in path if key in NOTHING), 1e-7)
    usual = math.sqrt(sum(x * x for x in one) / max(1, len(one)))
    scales = [max(abs(x), FLOOR * usual, OF_SIZE * size, nothing) for x in one]
    ratios = [abs(x - y) / (bound * scale) for x, y, scale in zip(one, other, scales, strict=True)]
    return max((r if math.isfinite(r) else math.inf for r in ratios), default=0.0)


def size_of(values: dict[tuple[str, ...], Any], path: tuple[str, ...]) -> float:
    """Return the size stated beside a statistic, 0 if there is none."""
    return values.get((*path[:-1], "size"), 0.0)


def differences(
    golden: Any, found: Any, apart: Mapping[str, float] = MappingProxyType({}), bound: float = 1.0
) -> dict[str, float]:
    """Return every value that is elsewhere than it was, by name, with its deviation in units of the bound.

    ``apart``: name -> deviation between processors, of what rounding moves; it may be ``MARGIN`` times as large.
    """
    one, other = dict(leaves(golden)), dict(leaves(found))
    far = {path: deviation(one[path], other[path], path, size_of(one, path)) for path in one if path in other}
    named = {
        ": ".join(path): value for path, value in (far | dict.fromkeys(one.keys() ^ other.keys(), math.inf)).items()
    }
    return {name: value for name, value in named.items() if value > max(bound, MARGIN * apart.get(name, 0.0))}
