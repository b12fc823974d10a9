"""Settings as a plan resolves them: each stage's defaults, and what shapes, named pairs and tables make of them."""

import re

from golden.stages import CATALOG

from latent_ot.errors import Declined

SHAPES = {"grey": (1, 32, 32), "colour": (3, 32, 32), "large": (3, 64, 64), "huge": (3, 256, 256), "points": (2,)}


def defaults(kind, part):
    """Return a stage's default settings."""
    return CATALOG.stage(kind, part).Config().model_dump(mode="json")


def resolve(kind, part, shape, chosen):
    """Return what settings of a stage differ from its defaults once they are resolved for a shape of data."""
    stage = CATALOG.stage(kind, part)
    if kind == "methods" and hasattr(stage, "defaults"):
        chosen = {**stage.defaults(shape, chosen), **chosen}
    found, usual = stage.Config.build(chosen, part).model_dump(mode="json"), defaults(kind, part)
    return {key: value for key, value in found.items() if value != usual.get(key)}


def by_shape(kind, part):
    """Return defaults, and the settings that differ for a shape of data."""
    if kind == "samplers":
        return {"defaults": defaults(kind, part)}
    shapes = {name: resolve(kind, part, shape, {}) for name, shape in SHAPES.items()}
    return {"defaults": defaults(kind, part), "by shape": {name: found for name, found in shapes.items() if found}}


def recipe(method, shape, settings):
    """Return what differs from the defaults in each part of a method."""
    kind = "points" if len(shape) == 1 else "image"
    made = CATALOG.recipe(method, kind)
    found = {}
    for number, part in enumerate(made.parts):
        folder = "samplers" if number == 1 else "methods"
        chosen = {**made.settings.get(part, {}), **settings.get(part, {})}
        found[part] = resolve(folder, part, shape, chosen)
    return found


def shape_of(dataset):
    """Return the shape of a published data set's examples."""
    if dataset in ("moons", "circles", "ring8", "spiral20", "grid25"):
        return (2,)
    size = re.search(r"(?:celeba|celeba_hq|bedroom)(\d+)", dataset)
    channels = 1 if "mnist" in dataset else 3
    return (channels, *(int(size[1]) if size else 28 if dataset.endswith("28") else 32,) * 2)


def table(name):
    """Return the settings of each row of a published table for each column, columns that agree together."""
    from latent_ot.published import load_table

    known, found = load_table(name), {}
    for row in known.rows:
        if row.method is None or row.method not in CATALOG.method_names():
            continue
        columns = {}
        for column in known.columns:
            try:
                method, settings = known.asked(row, column)
                made = recipe(method, shape_of(column.dataset), settings)
            except Declined as reason:
                made = {"declined": str(reason)}
            columns.setdefault(repr(made), (made, []))[1].append(column.key)
        found[row.label] = {",".join(keys): made for made, keys in columns.values()}
    return found
