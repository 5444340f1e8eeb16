"""What the extra `fleet` installs, and what to say where it is absent."""

from __future__ import annotations

from importlib.util import find_spec

from boxis_async import MissingExtraError

__all__ = ["require_extra"]


def require_extra(what: str, *modules: str) -> None:
    """See that modules of the extra are there.

    Args:
        what: What needs them, as the beginning of a sentence.
        modules: Their names.

    Raises:
        MissingExtraError: One is absent.
    """
    if not all(map(find_spec, modules)):
        raise MissingExtraError(f'{what}: pip install "boxis-async[fleet]"')
