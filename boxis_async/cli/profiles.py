"""The profile file: settings by name, in TOML, in a file that nobody else may read.

A profile becomes click's `default_map`, so its keys are the names of the parameters.
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from boxis_async import Contract, UsageError

from .errors import CredentialsError, ProfileError
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_PROFILE", "load_profile", "profile_names", "profile_path", "profile_tables"]

DEFAULT_PROFILE: Final = "default"

_TYPES: Final[dict[str, type[Any]]] = {
    "username": str,
    "api_key": str,
    "tenant": str,
    "base_url": str,
    "timezone": str,
    "concurrency": int,
    "country": str,
    "contract": dict,
}
_KINDS: Final[dict[type[Any], str]] = {
    str: "a text in quotes",
    int: "a whole number",
    dict: "a table",
}
_GROUP_AND_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def profile_path() -> Path:
    """Return where the profile file is, or would be."""
    return Path(click.get_app_dir("boxis")) / "profiles.toml"


def load_profile(name: str | None) -> dict[str, Any]:
    """Read a profile by its name; without one the default, or nothing where there is none.

    Returns:
        The values by key; the API key is a `Secret`, the contract a `Contract`, and empty values
        are left out.

    Raises:
        CredentialsError: The file holds an API key, and others may read it.
        ProfileError: The file or the profile is missing, or cannot be understood.
    """
    path = profile_path()
    tables = _read(path)
    if tables is None:
        if name is None:
            return {}
        raise ProfileError(f"no profile {name!r}: there is no file {path}")
    _check_mode(path, tables)
    if outside := [key for key, value in tables.items() if not isinstance(value, dict)]:
        raise ProfileError(f"in {path} write [default] above {', '.join(outside)}")
    if name is None and DEFAULT_PROFILE not in tables:
        return {}
    name = name or DEFAULT_PROFILE
    if name not in tables:
        known = ", ".join(map(repr, tables)) or "none"
        raise ProfileError(f"no profile {name!r} in {path}; there are: {known}")
    return _values(path, name, _table(tables[name]))


def profile_tables() -> Mapping[str, object]:
    """Read the profiles, as they stand in the file; none where there is no file.

    Raises:
        ProfileError: The file cannot be read.
    """
    return _read(profile_path()) or {}


def profile_names() -> list[str]:
    """List the profiles, for completion; none where the file cannot be read."""
    try:
        return list(profile_tables())
    except ProfileError:
        return []


def _read(path: Path) -> Mapping[str, object] | None:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"the profile file {path} cannot be read: {error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message has the line and column only; the cause would hold the text, with the key.
        raise ProfileError(f"the profile file {path} is not TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or a thousand brackets.
        name = type(error).__name__
        raise ProfileError(f"the profile file {path} cannot be read as TOML: {name}") from None


def _check_mode(path: Path, tables: Mapping[str, object]) -> None:
    """Refuse a file with an API key that group or others may read, write or run."""
    places = (tables, *map(_table, tables.values()))
    if os.name != "posix" or not any("api_key" in place for place in places):
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _GROUP_AND_OTHERS:
        raise CredentialsError(
            f"{path} holds an API key, and others may read it (mode {mode:04o})",
            advice=f"chmod 600 {path}",
        )


def _values(path: Path, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Check the values of a profile; messages name the keys, never the values."""
    where = f"profile {name!r} in {path}"
    if unknown := [key for key in table if key not in _TYPES]:
        raise ProfileError(
            f"{where} has unknown keys: {', '.join(unknown)}; known are {', '.join(_TYPES)}"
        )
    for key, value in table.items():
        if type(value) is not _TYPES[key]:
            raise ProfileError(f"{where}: {key} must be {_KINDS[_TYPES[key]]}")
        if type(value) is int and value < 1:
            raise ProfileError(f"{where}: {key} must be 1 or more")
    values: dict[str, Any] = {key: value for key, value in table.items() if value != ""}
    if "api_key" in values:
        values["api_key"] = Secret(values["api_key"])
    if "contract" in values:
        try:
            values["contract"] = Contract.from_dict(_table(values["contract"]))
        except UsageError as error:
            raise ProfileError(f"{where}: {error}") from None
    return values


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
