"""The version, in a module of its own: the build, the package and the User-Agent all read it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
