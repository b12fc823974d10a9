"""Clusters of any nodes, and stages that ask for a place there."""

from types import SimpleNamespace

from latent_ot.bench.executors.cluster import Cluster


def stage(name, role="method", devices=1, inputs=()):
    return SimpleNamespace(name=name, label=name, inputs=inputs, devices=devices, job={"role": role})


def cluster(nodes, gpus=True, threads=2, share=0.25, scoring=0.0):
    """Return the cluster of so many nodes, each resource -> how much of it, which no Ray is asked about."""
    made = object.__new__(Cluster)
    made.address, made.threads, made.share, made.scoring, made.gpus = "a:1", threads, share, scoring, gpus
    made.nodes = lambda: nodes
    return made
