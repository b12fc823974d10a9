"""Which runs may stand in one table: those of one data set, protocol, budget and number of threads."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from latent_ot.record import DATA, Record, at


def select(
    records: Iterable[Record],
    dataset: str | None = None,
    method: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
) -> list[Record]:
    """Return the records that agree with every argument given."""
    wanted = {"dataset": dataset, "method": method, "budget": budget, "seed": seed}
    return [r for r in records if all(value is None or getattr(r, key) == value for key, value in wanted.items())]


class Group(NamedTuple):
    """What runs have in common that may share a column; with another number of threads a run is another run."""

    dataset: str
    protocol: str
    budget: str
    threads: int

    @property
    def at(self) -> str:
        """See ``Record.at``."""
        return at(self.budget, self.threads)


def by_protocol(records: Sequence[Record]) -> dict[Group, list[Record]]:
    """Group runs that may share a column; ``protocol`` is the protocol's id.

    The yardstick depends on the protocol alone, so a group without its own takes that of another budget. A run that
    never came to be scored has no protocol and joins every group of its data set, budget and threads.
    """
    groups: dict[Group, list[Record]] = {}
    for r in records:
        if r.protocol:
            groups.setdefault(Group(r.dataset, r.protocol.id, r.budget, r.threads), []).append(r)
    for r in records:
        if r.protocol is None:
            own = Group(r.dataset, "", r.budget, r.threads)
            for key in [key for key in groups if key._replace(protocol="") == own] or [own]:
                groups.setdefault(key, []).append(r)
    for key, group in groups.items():
        if not any(r.method == DATA for r in group):
            others = [r for r in records if r.method == DATA and r.dataset == key.dataset and r.protocol]
            group += {r.seed: r for r in others if r.protocol and r.protocol.id == key.protocol}.values()
    budgets = {r.budget: r.images_budget for r in records}
    return {
        key: groups[key]
        for key in sorted(groups, key=lambda k: (k.dataset, -budgets[k.budget], k.budget, k.protocol, k.threads))
    }
