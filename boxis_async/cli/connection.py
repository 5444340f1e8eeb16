"""Who asks, where, and how: from the options, else the environment, else the profile."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

from boxis_async import BoxisClient

from .outcome import CredentialsError
from .profile import Profile, find_profile, profile_path
from .secret import Secret
from .tell import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import RetryPolicy

__all__ = ["Connection", "Given", "connect"]

TIMEZONE: Final = "Europe/Zurich"
CONCURRENCY: Final = 8
_ASK: Final = "-"
_HISTORY: Final = (
    "the API key now stands in the shell's history and the process list; give it by "
    "BOXIS_API_KEY, by a profile, or by --key - which asks for it"
)


@attrs.define
class Given:
    """The connection options as they stand on the command line."""

    profile: str | None = None
    username: str | None = None
    key: Secret | None = None
    tenant: str | None = None
    base_url: str | None = None
    timezone: str | None = None
    concurrency: int | None = None
    verbose: bool = False

    def arguments(self) -> Iterator[str]:
        """Give the options again, for a command to run later; the key will be asked for."""
        for field in ("profile", "username", "tenant", "base_url", "timezone", "concurrency"):
            value = getattr(self, field)
            if value:
                yield from (f"--{field.replace('_', '-')}", str(value))
        if self.key is not None:
            yield from ("--key", _ASK)


@attrs.frozen
class Connection:
    """What a client is made of, and where each part came from."""

    username: str | None
    api_key: Secret | None
    tenant: str | None
    base_url: str | None
    timezone: str
    concurrency: int
    origins: dict[str, str]

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the provider's wall clock."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise click.UsageError(
                f"there is no time zone {self.timezone!r}: give a name such as Europe/Zurich"
            ) from None

    def client(self, *, retry: RetryPolicy | None = None, timeout: float = 30.0) -> BoxisClient:
        """Make the client.

        Raises:
            CredentialsError: The username or the key is missing.
        """
        if missing := self._missing():
            raise CredentialsError(f"no {' and no '.join(missing)}", cure=_ways())
        return BoxisClient(
            self.username,
            self.api_key.reveal() if self.api_key else None,
            tenant=self.tenant,
            base_url=self.base_url,
            timezone=self.timezone,
            concurrency=self.concurrency,
            retry=retry,
            timeout=timeout,
        )

    def planner(self) -> BoxisClient:
        """Make a client that is good for planning, and for nothing else: it needs no key."""
        return BoxisClient(
            self.username or "nobody",
            "no key is needed to plan",
            tenant=self.tenant or "none",
            timezone=self.timezone,
            concurrency=self.concurrency,
        )

    def need_tenant(self) -> str:
        """Give the tenant.

        Raises:
            click.UsageError: There is none.
            CredentialsError: Nor is there a username or a key.
        """
        if not self.tenant:
            if missing := self._missing():
                told = " and no ".join((*missing, "tenant"))
                raise CredentialsError(f"no {told}", cure=_ways())
            raise click.UsageError("no tenant: give --tenant, or set BOXIS_TENANT")
        return self.tenant

    def _missing(self) -> list[str]:
        credentials = (("username", self.username), ("API key", self.api_key))
        return [name for name, value in credentials if not value]


def connect(given: Given, *, asks_key: bool = True) -> Connection:
    """Put the connection together: option before environment before profile.

    Args:
        given: The options.
        asks_key: Whether `--key -` asks; a command that sends nothing needs no key.

    Raises:
        click.ClickException: The profile cannot be used.
    """
    name = given.profile or os.environ.get("BOXIS_PROFILE") or None
    profile = find_profile(name)
    origins = {"profile": name or "default"}

    def choose(name: str, option: str | None, variable: str, kept: str | None) -> str | None:
        choices = (("option", option), (variable, os.environ.get(variable)), ("profile", kept))
        for origin, value in choices:
            if value:
                origins[name] = origin
                return value
        return None

    if profile is None:
        profile = Profile()
    username = choose("username", given.username, "BOXIS_USERNAME", profile.username)
    tenant = choose("tenant", given.tenant, "BOXIS_TENANT", profile.tenant)
    base_url = choose("base URL", given.base_url, "BOXIS_BASE_URL", profile.base_url)
    timezone = given.timezone or profile.timezone or TIMEZONE
    origins["time zone"] = _origin(given.timezone, profile.timezone)
    origins["concurrency"] = _origin(given.concurrency, profile.concurrency)
    api_key, origins["API key"] = _key(given, profile, asks=asks_key)
    return Connection(
        username,
        api_key,
        tenant,
        base_url,
        timezone,
        given.concurrency or profile.concurrency or CONCURRENCY,
        origins,
    )


def _key(given: Given, profile: Profile, *, asks: bool) -> tuple[Secret | None, str]:
    """Give the key and where it came from; as a text it stands in no variable here."""
    if given.key:
        if given.key.reveal() != _ASK:
            warn(_HISTORY)
            return given.key, "option"
        return (_asked(), "asked for") if asks else (None, "")
    if variable := Secret(os.environ.get("BOXIS_API_KEY", "")):
        return variable, "BOXIS_API_KEY"
    return profile.api_key, "profile" if profile.api_key else ""


def _asked() -> Secret:
    """Ask for the key, without echo, or take one line of standard input."""
    if sys.stdin.isatty():
        return Secret(click.prompt("API key", hide_input=True, err=True, type=str).strip())
    return Secret(sys.stdin.readline().strip())


def _origin(option: object, kept: object) -> str:
    return "option" if option else "profile" if kept else "default"


def _ways() -> str:
    return (
        "set BOXIS_USERNAME, BOXIS_API_KEY and BOXIS_TENANT, or write username, api_key and "
        f"tenant under [default] in {profile_path()} (chmod 600), or give --username, --key - "
        "and --tenant"
    )
