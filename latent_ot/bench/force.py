"""``--force NAME``: which stages are made again though they are done or have diverged."""

from collections.abc import Sequence

from latent_ot.bench.plan import RunPlan
from latent_ot.errors import choose


def forced(plans: Sequence[RunPlan], names: Sequence[str]) -> list[str]:
    """Return the folders of all stages that ``names`` call by method or by part, and of what is built on them.

    Args:
        plans: what the command runs.
        names: methods (all of their stages), or parts: a representation, a sampler, "reconstruct", "evaluate".

    Raises:
        InputError: for a name that no planned run has.
    """
    parts = {stage.part for plan in plans for stage in plan.stages}
    methods = {plan.method for plan in plans} | {plan.label for plan in plans}
    for name in names:
        choose("--force", name, parts | methods)
    stages = {s.name: s for plan in plans for s in plan.stages}
    whole = {s.name for plan in plans if {plan.method, plan.label} & set(names) for s in plan.stages}
    again = whole | {s.name for s in stages.values() if s.part in names}
    while built_on := {s.name for s in stages.values() if again & set(s.inputs)} - again:
        again |= built_on
    return sorted(again)
