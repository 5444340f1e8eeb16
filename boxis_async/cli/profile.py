"""The profile file: credentials by name, in TOML, that nobody else may read."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import click

from .outcome import CredentialsError
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYS", "Profile", "find_profile", "profile_names", "profile_path"]

DEFAULT: Final = "default"

_TYPES: Final = {
    "username": str,
    "api_key": str,
    "tenant": str,
    "base_url": str,
    "timezone": str,
    "concurrency": int,
}
KEYS: Final = tuple(_TYPES)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen
class Profile:
    """One table of the profile file; what it leaves out is None."""

    username: str | None = None
    api_key: Secret | None = None
    tenant: str | None = None
    base_url: str | None = None
    timezone: str | None = None
    concurrency: int | None = None


def profile_path() -> Path:
    """Tell where the profile file is, or would be."""
    return Path(click.get_app_dir("boxis")) / "profiles.toml"


def find_profile(name: str | None) -> Profile | None:
    """Read a profile by its name; without one the default, or None where there is none.

    Raises:
        CredentialsError: The file holds a key, and others may read it.
        click.ClickException: The file or the profile is missing, or cannot be understood.
    """
    path = profile_path()
    tables = _read(path)
    if tables is None:
        if name is None:
            return None
        raise click.UsageError(f"no profile {name!r}: there is no file {path}")
    _check_mode(path, tables)
    if loose := [key for key, value in tables.items() if not isinstance(value, dict)]:
        raise click.UsageError(f"in {path} write [default] above {', '.join(loose)}")
    if name is None and DEFAULT not in tables:
        return None
    if (name or DEFAULT) not in tables:
        known = ", ".join(map(repr, tables)) or "none"
        raise click.UsageError(f"no profile {name!r} in {path}; there are: {known}")
    return _profile(path, name or DEFAULT, tables[name or DEFAULT])


def profile_names() -> list[str]:
    """List the profiles, for completion; none where the file cannot be read."""
    try:
        return list(_read(profile_path()) or {})
    except click.ClickException:
        return []


def _read(path: Path) -> Mapping[str, object] | None:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"the profile file {path} cannot be read: {error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # It tells the line and column; without the cause nothing holds the text, and the key.
        raise click.UsageError(f"the profile file {path} is no TOML: {error}") from None


def _check_mode(path: Path, tables: Mapping[str, object]) -> None:
    """Refuse a file with a key in it that group or others may read, write or run."""
    places = (tables, *map(_table, tables.values()))
    if os.name != "posix" or not any("api_key" in place for place in places):
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise CredentialsError(
            f"{path} holds an API key, and others may read it (mode {mode:04o})",
            cure=f"chmod 600 {path}",
        )


def _profile(path: Path, name: str, found: object) -> Profile:
    table = _table(found)
    where = f"profile {name!r} in {path}"
    if unknown := [key for key in table if key not in _TYPES]:
        raise click.UsageError(
            f"{where} has unknown keys: {', '.join(unknown)}; known are {', '.join(KEYS)}"
        )
    for key, value in table.items():
        if type(value) is not _TYPES[key]:
            kind = "a text in quotes" if _TYPES[key] is str else "a whole number"
            raise click.UsageError(f"{where}: {key} must be {kind}")
    values = {key: value for key, value in table.items() if value != ""}
    if "api_key" in values:
        values["api_key"] = Secret(values["api_key"])
    return Profile(**values)


def _table(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
