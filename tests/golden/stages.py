"""Three outer steps of every method and sampler, by the suite's own building, batches and hooks."""

import contextlib
import hashlib
import math
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, Union, get_args, get_origin
from unittest.mock import patch

import torch
from golden.arrays import codes, digits, images, squashed, statistics

from latent_ot.bench.train import Batches, Rows, as_tensor, build
from latent_ot.catalog import Catalog
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Pair
from latent_ot.networks.families import Among
from latent_ot.seeding import generator
from latent_ot.stage import Spec, as_float
from latent_ot.transport import semidiscrete

STEPS, WIDTH, BATCH = 3, 0.06, 8
ROUNDING = "GOLDEN_ROUNDING"
"""Environment variable: relative size of random changes of all first weights, as another processor's sums make them."""
FEW = 20_000  # points behind the error of a solve, which are a million and take a second
CATALOG = Catalog()
DATA = {
    "grey": images,
    "colour": partial(images, 3),
    "large": lambda: digits()[0][:32],
    "points": lambda: codes(2).numpy(),
    "codes": partial(codes, 6),
    "plane": partial(codes, 2),
    "unit": partial(squashed, 6),
}
SMALL = {
    "batch_size": BATCH,
    "generator_batch": BATCH,
    "n_critic": 2,
    "long_n_critic": 4,
    "gap_every": 1,
    "tol": 0.3,
    "max_points": 600,
    "components": 4,
    "pairs": 64,
}
"""Settings under which three steps are quick, for the stages that have them."""


@dataclass(frozen=True)
class Case:
    """One training: settings beside ``SMALL`` and the kind of data."""

    part: str
    kind: Literal["methods", "samplers"]
    data: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self):
        """Name in the golden values."""
        return ",".join([self.data, *(f"{key}={value}" for key, value in self.settings.items())])


def options(annotation):
    """Return the values that a setting of this type chooses from, if they are few."""
    if annotation is bool:
        return [False, True]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return [value for one in get_args(annotation) for value in options(one)]
    return []


def choices(info):
    """Return the values that a setting chooses from, if they are few."""
    families = [name for kind in info.metadata if isinstance(kind, Among) for name in kind.names]
    return families or options(info.annotation)


MORE: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ae": [("grey", {"halve_every": 1}), ("grey", {"refine": 0.5, "code_l1": 0.1})],
    "began": [("grey", {"halvings": 0, "k_rate": 6e-7})],
    "ctgan": [("grey", {"margin": 0.01})],
    "glo": [
        ("grey", {"weight_decay": 1e-2}),
        ("grey", {"code_l1": 1e-3, "projection": "none"}),
        ("grey", {"travel": 1.0}),
        ("grey", {"optim": "sgd", "lr": 1, "lr_z": 10, "loss": "lap1", "projection": "ball"}),
        ("grey", {"halve_every": 0.1}),
        ("grey", {"new_optimizers": True}),
        ("grey", {"loss": "perceptual+l2", "backbone": "digits"}),
    ],
    "gldo": [
        ("grey", {"travel": 1.0}),
        ("grey", {"optim": "sgd", "lr": 1, "lr_z": 10}),
        ("grey", {"penalty": "squared_norm", "eps": 100}),
    ],
    "iwgan": [("points", {}), ("grey", {"gap_every": 3})],
    "pggan": [("grey", {"ema": 0.99999}), ("grey", {"phase": 0.2, "drift": 1.0})],
    "vae": [("grey", {"gamma": 0.5})],
    "vaegan": [("grey", {"n_critic": 1, "orthogonal": 0, "gamma": 1e-6, "balance": True, "fakes": "prior"})],
    "wae_mmd": [("grey", {"pretrain": 0.7})],
    "wgan": [("grey", {"clip": 1.0}), ("grey", {"long_first": 0})],
    "wgan_gp": [("points", {})],
    "wgan_qc": [("grey", {"ema": 0.99999, "ema_share": 1})],
    "flow": [("plane", {})],
    "gmm": [("plane", {})],
    "imle": [("codes", {"pool": 1, "halve_every": 1})],
    "ot_gen": [("unit", {}), ("codes", {"diversity": 1}), ("codes", {"average": 2})],
    "sdot": [("codes", {"mix": None}), ("plane", {"tol": 0.09, "max_points": None})],  # the latter to its end
}
"""Cases beside each option of each setting: what a number switches on, and data with settings of their own."""


COLOUR = {"ae", "ae_ot_gan", "glo", "iwgan", "pca", "rae_gp", "wae_mmd", "wgan_div"}
"""Methods that take colour images otherwise than grey ones; the networks' values are of both."""


@cache
def cases(part):
    """Return every case of a method or sampler: defaults on each kind of data, each option, pairs, and ``MORE``."""
    kind = "methods" if part in CATALOG.files["methods"] else "samplers"
    stage = CATALOG.stage(kind, part)
    accepts = getattr(stage, "accepts", ("image",))
    accepts = (accepts,) if isinstance(accepts, str) else accepts
    data = [d for d, k in (("grey", "image"), ("colour", "image"), ("points", "points")) if k in accepts]
    data = ["codes", "plane"] if kind == "samplers" else [d for d in data if d != "colour" or part in COLOUR]
    found = [(d, {}) for d in data]
    for name, info in stage.Config.model_fields.items():
        if name == "precision":  # bfloat16's sums are another thing on every kind of processor
            continue
        found += [(data[0], {name: value}) for value in choices(info) if value != info.default]
    for row in CATALOG.pairs.values():
        if part in row.get("settings", {}):
            found.append((data[0], row["settings"][part]))
    found += MORE.get(part, [])
    named = {case.name: case for case in (Case(part, kind, d, dict(s)) for d, s in found)}
    return [adapted(case) for case in named.values()]


def adapted(case):
    """Return the case on the data that its setting is for: toy networks take points, triangulations the plane."""
    if case.settings.get("network") == "toy":
        return Case(case.part, case.kind, "points", case.settings)
    if (case.part, case.settings.get("network")) == ("ctgan", "dcgan"):  # it has too few layers at 16 pixels
        return Case(case.part, case.kind, "large", case.settings)
    if case.part == "wgan" and "network" in case.settings:  # convolutions of so few channels give it no slope
        return Case(case.part, case.kind, case.data, {**case.settings, "clip": 0.1})
    if (case.part, case.settings.get("network")) == ("wgan_gp", "sngan"):  # nor it, and Adam then steps along rounding
        return Case(case.part, case.kind, case.data, {**case.settings, "critic_norm": "layer"})
    if case.settings.get("start") == "pca":  # fewer components than images
        return Case(case.part, case.kind, case.data, {**case.settings, "latent_dim": 20})
    if case.settings.get("mode") == "barycentric":
        return Case(case.part, case.kind, "plane", case.settings)
    if case.settings.get("squash") is True and case.kind == "samplers":
        return Case(case.part, case.kind, "unit", case.settings)
    if case.settings.get("penalty") == "squared_norm" and "eps" not in case.settings:
        return Case(case.part, case.kind, case.data, {**case.settings, "eps": 100})
    return case


def configuration(case, settings=None):
    """Return the case's settings, resolved as a plan resolves them."""
    stage = CATALOG.stage(case.kind, case.part)
    small = {key: value for key, value in SMALL.items() if key in stage.Config.model_fields}
    chosen = {**small, **case.settings, **(settings or {})}
    if case.kind == "methods" and hasattr(stage, "defaults"):
        chosen = {**stage.defaults(shape(case), chosen), **chosen}
    return stage.Config.build(chosen, case.part)


def shape(case):
    """Return the shape of one training example."""
    return tuple(as_tensor(DATA[case.data]()).shape[1:])


def spec(case, config):
    """Return a budget of three outer steps."""
    stage = CATALOG.stage(case.kind, case.part)
    probe = types.SimpleNamespace(config=config)
    rows = stage.rows_per_step.fget(probe)
    return Spec(shape(case), len(DATA[case.data]()), STEPS * rows, WIDTH, 0)


@cache
def base(data):
    """Return the pair that a refinement starts from: an untrained ``ae`` with the transport to its codes.

    It has the statistics of a few passes; three steps of training would make every sum's rounding count in its codes.
    """
    ae, x = built(Case("ae", "methods", data)), as_float(as_tensor(DATA[data]()))
    with torch.no_grad():
        for _ in range(3):
            ae.decode(ae.encode(x))
        z = ae.eval().codes(as_tensor(DATA[data]()))
    case = Case("sdot", "samplers", "codes")
    config = configuration(case)
    sdot = build(CATALOG.stage("samplers", "sdot"), config, Spec(tuple(z.shape[1:]), len(z), STEPS, WIDTH, 0))
    with patch.object(semidiscrete, "REPORT_POINTS", FEW):
        train(sdot, z)
    return Pair(ae, sdot)


def built(case, settings=None):
    """Return the untrained stage of a case."""
    stage = CATALOG.stage(case.kind, case.part)
    config = configuration(case, settings)
    parts = [base(case.data)] if getattr(stage, "refines", None) else []
    made = build(stage, config, spec(case, config), *parts)
    if ROUNDING in os.environ:
        shake(made, float(os.environ[ROUNDING]))
    return made


@torch.no_grad()
def shake(stage, size):
    """Change every parameter by random relative amounts of this size."""
    for index, parameter in enumerate(stage.parameters()):
        noise = torch.randn(parameter.shape, generator=generator(index, "rounding"))
        parameter.mul_(1 + size * noise.to(parameter))


def run(case, settings=None, change=None):
    """Train a case.

    Args:
        case: what to train.
        settings: that win over the case's.
        change: called with the built stage.

    Returns:
        The trained stage, in eval mode, and what each step observed.
    """
    made = built(case, settings)
    if change is not None:
        change(made)
    return made, trained(made, case)


def trained(made, case):
    """Train a case's stage; return what each step observed."""
    whole = case.settings.get("max_points", 0) is None  # a solve to its end, judged as it always is
    with patch.object(semidiscrete, "REPORT_POINTS", semidiscrete.REPORT_POINTS if whole else FEW):
        return train(made, DATA[case.data]())


def train(stage, data):
    """Call the hooks of training in the trainer's order; return what each step observed."""
    stage.start = {name: value.clone() for name, value in stage.state_dict().items()}
    observed = []
    if getattr(stage, "closed_form", False):
        stage.fit(as_float(as_tensor(data)))
    else:
        if hasattr(stage, "prepare"):
            stage.prepare(lambda: as_tensor(data))
        elif not isinstance(stage, Method):
            stage.fit(as_tensor(data))
        stage.start = {name: value.clone() for name, value in stage.state_dict().items()}
        made = stage.configure_optimizers()
        optimizers = made if isinstance(made, list) else [] if made is None else [made]
        stage._trainer = types.SimpleNamespace(optimizers=optimizers)
        stage.optimizers = lambda use_pl_optimizer=True: made
        stage.manual_backward = lambda loss: loss.backward()
        for batch in Batches(Rows(data, torch.device("cpu")), stage):
            stage.on_train_batch_start(batch, stage.step)
            stage.training_step(batch, stage.step)
            stage.on_train_batch_end(None, batch, stage.step)
            observed.append({name: float(value) for name, value in stage.observed.items()})
            if stage.finished:
                break
        stage.on_train_end()
    stage.eval()
    return observed


def moved(stage):
    """Return the norm of each part's displacement: of its parameters."""
    squares: dict[str, float] = {}
    learnt = {name for name, _ in stage.named_parameters()}
    for name, value in stage.state_dict().items():
        if name in learnt:
            top = name.split(".")[0]
            square = (value.double() - stage.start[name].double()).square().sum().item()
            squares[top] = squares.get(top, 0.0) + square
    return {name: math.sqrt(square) for name, square in squares.items()}


@torch.no_grad()
def drawn(sampler):
    """Return statistics of codes from a fitted sampler."""
    found = {"drawn": sampler.sample(64, generator(0, "golden"))}
    if getattr(sampler, "maps", False):
        found["transported"] = sampler.transport(sampler.source(64, generator(1, "golden")))
    return {name: statistics(x) for name, x in found.items()}


@torch.no_grad()
def made_by(stage, data):
    """Return statistics of what a method makes."""
    x = as_float(as_tensor(data))
    if stage.role == "representation":
        z = stage.codes(as_tensor(data))
        found = {"codes": z, "decoded": stage.decode(z[:16])}
    else:
        found = {"drawn": stage.sample(16, generator(0, "golden"))}
    if not stage.searches():  # how codes are sought is a part of its own, ``scoring/inverted``
        with contextlib.suppress(Declined):
            start = stage.project(torch.randn(4, stage.latent_dim, generator=generator(2, "golden")))
            found["rebuilt"] = stage.reconstruct(x[:4], start, 3)
    return {name: statistics(value) for name, value in found.items()}


def trained_images(stage, data):
    """Return mean and standard deviation of a trained method's images, above the range of images: bounded as that is.

    A code or a pixel would not do: where a gradient is 0, Adam makes of its rounding steps as long as any other.
    """
    found = made_by(stage, data)
    images = found.get("drawn", found.get("decoded"))
    return {"above 1": [1 + images[key] for key in ("mean", "std")]}


UNSTEADY = {
    ("ctgan", "generator"): "it is the last bias of a critic for which only differences count, a sum of rounding",
}
"""(Method, loss) whose number is no property of the method -> why."""


def weights(stage):
    """Return a digest of names and shapes of all that a stage keeps: under others, what is trained cannot be loaded."""
    kept = ", ".join(f"{name} {tuple(value.shape)}" for name, value in stage.state_dict().items())
    return hashlib.sha256(kept.encode()).hexdigest()[:8]


def result(case, settings=None, change=None):
    """Return the numbers of a case: losses of the first and last steps, statistics of samples, displacements.

    Of a method that learns by steps the samples are those of its first state; see ``trained_images``.
    """
    stage, data = built(case, settings), DATA[case.data]()
    if change is not None:
        change(stage)
    learns = case.kind == "methods" and not stage.closed_form
    samples = {}
    if learns and case.settings.get("start") != "pca":
        samples = {"start": made_by(stage.eval(), data)}
        stage.train()
    observed = trained(stage, case)
    observed = observed if len(observed) <= 2 * STEPS else observed[:STEPS] + observed[-STEPS:]
    losses = {name: [row[name] for row in observed if name in row] for row in observed for name in row}
    losses = {name: row for name, row in losses.items() if (case.part, name) not in UNSTEADY}
    if case.settings.get("start") == "pca":  # components have no sign: only products of codes are what they are
        codes = stage.start["Z.codes"]
        return {"weights": weights(stage), "samples": {"products": statistics(codes @ codes.T)}, "moved": moved(stage)}
    if case.kind == "samplers":
        samples = drawn(stage)
    elif learns:
        samples["end"] = trained_images(stage, data)
    else:
        samples = made_by(stage, data)
    return {"weights": weights(stage), "losses": losses, "samples": samples, "moved": moved(stage)}
