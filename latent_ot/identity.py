"""What a result is made of: names and versions of classes, never source text."""


def lineage(cls: type) -> dict[str, int]:
    """Return class name -> version of every class that ``cls`` inherits from and that states its own version."""
    return {c.__name__: c.__dict__["version"] for c in cls.__mro__ if "version" in c.__dict__}
