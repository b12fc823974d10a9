"""What a benchmark's stages run on: GPUs, cores and threads of this machine or a cluster, and who hands them out."""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from latent_ot.bench import machine
from latent_ot.bench.plan import StagePlan
from latent_ot.bench.request import Request
from latent_ot.bench.store import Store
from latent_ot.errors import InputError

if TYPE_CHECKING:
    from latent_ot.bench.executors.base import Devices, Executor
    from latent_ot.bench.executors.cluster import Cluster
    from latent_ot.bench.executors.packing import Packing
    from latent_ot.bench.worker import Order


class Resources:
    """What a request may take of this machine, or of the cluster that it names.

    ``cluster``: what runs the stages, joined, with nodes that can; None: this machine. ``gpus``: how many there are for
    them.

    Raises:
        InputError: if a cluster cannot be joined or lacks what is needed, or for more GPUs than there are.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cluster = _joined(request)
        self.gpus = self._gpus()

    def _gpus(self) -> int:
        import torch

        here, what = torch.cuda.device_count(), "this machine"
        if self.cluster is not None:
            here, what = self.cluster.total("GPU"), "the cluster"
        wanted = self.request.gpus
        if wanted is not None and not 0 <= wanted <= here:
            raise InputError(f"gpus = {wanted}: {what} has {here}; allowed: 0 to {here}")
        if self.cluster is not None and wanted not in (None, 0, here):
            raise InputError(f"gpus = {wanted} with executor 'ray'; allowed: 0, or all {here} of the cluster")
        return here if wanted is None else wanted

    @property
    def device(self) -> str:
        """The device of what this process draws or scores by itself: that of a first worker."""
        return self.slots(1)[0] if self.cluster is None else "cpu"

    @property
    def scoring(self) -> str:
        """The kind of device that scores: cuda or cpu."""
        return "cuda" if self.gpus and (self.cluster is None or self.request.scoring_gpu_share > 0) else "cpu"

    def slots(self, runs: int) -> list[str]:
        """Return the devices of the workers, for so many runs that can go on side by side."""
        threads, each, workers = self.request.threads, self.request.devices_per_run, self.request.workers
        if self.gpus:
            count = workers * each if workers else self.gpus * (self.request.runs_per_device or 1)
            return [f"cuda:{i % self.gpus}" for i in range(count)]
        most = max(1, machine.cores() // (threads * each))
        return ["cpu"] * (each * (workers or max(1, min(most, runs))))

    def executor(
        self, store: Store, order: "Callable[[StagePlan, Devices], Order]", stages: Iterable[StagePlan], runs: int
    ) -> "Executor":
        """Return what runs a store's missing stages, which belong to so many runs.

        Raises:
            InputError: if a stage asks for more devices than there are.
        """
        self._check(stages)
        leave = self.request.exit_when_busy
        if self.cluster is not None:
            from latent_ot.bench.executors.ray import OnRay

            return OnRay(store, self.cluster, order, self.request.workers, leave)
        from latent_ot.bench.executors.local import Local

        slots = self.slots(runs)
        self.say_idle(len(slots), runs)
        return Local(store, slots, order, leave, self._packing())

    def close(self) -> None:
        """Leave the cluster."""
        if self.cluster is not None:
            self.cluster.close()

    def _check(self, stages: Iterable[StagePlan]) -> None:
        if self.cluster is not None:
            self.cluster.open()
            self.cluster.gpus = self.gpus > 0
            self.cluster.admit(stages)
            return
        there, what = (self.gpus, "GPUs") if self.gpus else (machine.cores(), "CPU cores")
        if (asked := max((stage.devices for stage in stages), default=1)) > there:
            raise InputError(f"devices_per_run = {asked}: there are {there} {what}; allowed: 1 to {there}")

    def _packing(self) -> "Packing | None":
        """Return what lets GPUs take more than a run each, unless it was said how many they take."""
        from latent_ot.bench.executors.packing import Packing

        asked = self.request
        fixed = asked.workers or asked.runs_per_device or asked.devices_per_run > 1
        return None if fixed or not self.gpus else Packing(max(1, machine.cores() // asked.threads))

    def say_idle(self, workers: int, runs: int) -> None:
        """Say in one line what would use the devices or the cores that these workers leave idle."""
        cores, threads, each = machine.cores(), self.request.threads, self.request.devices_per_run
        if runs and runs * each < self.gpus:
            print(
                f"{self.gpus - runs * each} of {self.gpus} GPUs stay idle; --devices-per-run {self.gpus // runs} "
                f"would use {self.gpus // runs * runs} (other results than with {each}: sums depend on it)",
                file=sys.stderr,
            )
        if self.gpus or not runs or workers * threads >= cores:
            return
        wanted = cores // workers
        print(
            f"{cores - workers * threads} of {cores} cores stay idle; --threads {wanted} would use "
            f"{wanted * workers} (other results than with {threads}: sums depend on it)",
            file=sys.stderr,
        )


def _joined(request: Request) -> "Cluster | None":
    """Join the cluster that is to run the stages, and see that its nodes can; None: this machine runs them."""
    if request.executor == "local":
        return None
    from latent_ot.bench.executors.cluster import Cluster

    cluster = Cluster(request.address, request.threads, request.gpu_share, request.scoring_gpu_share)
    Store(request.store).check_writable()
    cluster.check(request.store)
    return cluster
