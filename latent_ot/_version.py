"""The package's version, and nothing else: what is imported for it costs nothing."""

__version__ = "0.1.0"
