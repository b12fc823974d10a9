"""What a result is the result of, by names and versions: a class that computes numbers states its own ``version``."""

from latent_ot.errors import InputError


def lineage(cls: type) -> dict[str, int]:
    """Return class name -> version of every class that ``cls`` inherits from and that states its own version.

    Raises:
        InputError: if a version is no whole number from 1.
    """
    found = {c.__name__: c.__dict__["version"] for c in cls.__mro__ if "version" in c.__dict__}
    for name, version in found.items():
        if type(version) is not int or version < 1:
            raise InputError(f"version {version!r} of {name}; allowed: whole numbers from 1")
    return found
