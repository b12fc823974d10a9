"""Which runs may stand in one table, and what a reader is told of them.

Those of one data set, protocol, budget and number of threads and devices may. Told is which are not published.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from latent_ot.record import DATA, Record, at
from latent_ot.results import repeating

YARDSTICK = "data (held-out)"
K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Group(NamedTuple):
    """What runs have in common that may share a column; with other threads or devices a run is another run."""

    dataset: str
    protocol: str
    budget: str
    threads: int
    devices: int = 1

    @property
    def at(self) -> str:
        """See ``Record.at``."""
        return at(self.budget, self.threads, self.devices)


Groups = Mapping[Group, Sequence[Record]]
"""See ``by_protocol``."""


def by_protocol(records: Sequence[Record]) -> dict[Group, list[Record]]:
    """Group runs that may share a column; ``protocol`` is the protocol's id.

    The yardstick and images that were made elsewhere depend on the protocol alone: a group without its own yardstick
    takes that of another budget, and such images stand in all groups of their protocol. A run that never came to be
    scored has no protocol and joins every group of its data set, budget, threads and devices. Runs of methods that
    repeat training images are marked (see ``results.repeating``).
    """
    groups: dict[Group, list[Record]] = {}
    for r in records:
        if r.protocol:
            groups.setdefault(Group(r.dataset, r.protocol.id, r.budget, r.threads, r.devices), []).append(r)
    for r in records:
        if r.protocol is None:
            own = Group(r.dataset, "", r.budget, r.threads, r.devices)
            for key in [key for key in groups if key._replace(protocol="") == own] or [own]:
                groups.setdefault(key, []).append(r)
    data, external = [r for r in records if r.method == DATA and r.protocol], [r for r in records if r.external]
    for key, group in groups.items():
        if not any(r.method == DATA for r in group):
            group += {r.seed: r for r in data if r.protocol and (r.dataset, r.protocol.id) == key[:2]}.values()
        group += [r for r in external if r not in group and r.protocol and (r.dataset, r.protocol.id) == key[:2]]
    sizes = {r.budget: r.images_budget for r in records}
    ordered = sorted(groups, key=lambda k: (k.dataset, -sizes[k.budget], k.budget, k.protocol, k.threads, k.devices))
    return {key: _marked(groups[key]) for key in ordered}


def _marked(group: list[Record]) -> list[Record]:
    found = repeating(group) or set()
    return [r.model_copy(update={"copying": True}) if r.method in found else r for r in group] if found else group


def by_method(records: Iterable[Record], status: str | None = None) -> dict[str, list[Record]]:
    """Group runs by method, optionally only those of one status."""
    rows: dict[str, list[Record]] = {}
    for record in records:
        if status is None or record.status == status:
            rows.setdefault(record.method, []).append(record)
    return rows


def trained(group: Sequence[Record]) -> Sequence[Record]:
    """Return the runs of the suite's methods; of a group that has none, itself."""
    return [r for r in group if r.method != DATA and not r.external] or group


def title(method: str, runs: Sequence[Record]) -> str:
    """Return what a row is called: a method's name, or whose images else they are."""
    return YARDSTICK if method == DATA else f"{method} (external)" if any(r.external for r in runs) else method


def gathered(said: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return what is said -> of whom, each once, in the order of the first places."""
    found: dict[K, dict[V, None]] = {}
    for what, who in said:
        found.setdefault(what, {})[who] = None
    return {what: [*who] for what, who in found.items()}


def unique(records: Iterable[Record]) -> list[Record]:
    """Return each record once, in the order of the first places."""
    return list({record.stem: record for record in records}.values())


def not_published(shown: Iterable[Record], records: Sequence[Record]) -> list[str]:
    """Return a line that names the runs shown that come from the store, if ``records`` are of both places."""
    every = unique(shown)
    ours = [record for record in every if record.stored]
    both = ours and not all(record.stored for record in records)
    return [f"not published, from the store: {who(ours, every)}"] if both else []


def who(records: Sequence[Record], among: Sequence[Record]) -> str:
    """Return methods with their seeds; with the data set and budget, where ``among`` has runs of several."""
    several = len({(record.dataset, record.at) for record in among}) > 1
    seeds: dict[str, set[int]] = {}
    for record in records:
        where = f" on {record.dataset} at {record.at}" if several else ""
        seeds.setdefault(record.method + where, set()).add(record.seed)
    return "; ".join(f"{name} {numbered(found)}" for name, found in seeds.items())


def numbered(seeds: Iterable[int]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1``."""
    listed = ", ".join(map(str, sorted(seeds)))
    return f"seed{'s' if ',' in listed else ''} {listed}"


def lettered(names: Iterable[str]) -> dict[str, str]:
    """Return name -> the tag of what belongs to it, `` [a]``, `` [b]``; of a single name an empty one."""
    every = list(dict.fromkeys(names))
    return {name: f" [{chr(ord('a') + i)}]" if len(every) > 1 else "" for i, name in enumerate(every)}
