"""The settings of a command: the option, else the environment, else the profile, else a default.

click decides which of these counts: each option names its environment variable, and the profile is
click's `default_map`. Then `get_parameter_source` says where a value comes from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click
from click.core import ParameterSource

from boxis_async import BoxisClient, ConfigurationError, Contract

from .errors import CredentialsError
from .messages import warn
from .profiles import profile_path
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import RetryPolicy

__all__ = [
    "DEFAULT_CONCURRENCY",
    "DEFAULT_COUNTRY",
    "DEFAULT_TIMEZONE",
    "FROM_OPTION",
    "VARIABLES",
    "ConnectionValues",
    "Settings",
    "TenantlessValues",
    "read_key",
    "read_settings",
    "secret",
]

DEFAULT_TIMEZONE: Final = "Europe/Zurich"
DEFAULT_CONCURRENCY: Final = 8
DEFAULT_COUNTRY: Final = "CH"
VARIABLES: Final = {
    "profile": "BOXIS_PROFILE",
    "username": "BOXIS_USERNAME",
    "api_key": "BOXIS_API_KEY",
    "tenant": "BOXIS_TENANT",
    "base_url": "BOXIS_BASE_URL",
}
"""The environment variables, by the names of the parameters."""

FROM_OPTION: Final = "option"
_FROM_STDIN: Final = "standard input"
_STDIN: Final = "-"
_KEY_IN_HISTORY: Final = (
    "the API key is now in the shell's history and in the list of processes. Give it by "
    "BOXIS_API_KEY, by a profile, or by --key -, which prompts for it"
)


class TenantlessValues(TypedDict):
    """The values of the connection options but for the tenant, as click passes them."""

    profile: str | None
    username: str | None
    api_key: Secret | None
    base_url: str | None
    timezone: str
    concurrency: int


class ConnectionValues(TenantlessValues):
    """The values of the connection options, as click passes them to a command."""

    tenant: str | None


@attrs.frozen(kw_only=True)
class Settings:
    """Whom to ask, as whom, and how; and where each value comes from."""

    profile: str | None
    username: str | None
    api_key: Secret | None
    tenant: str | None
    base_url: str | None
    timezone: str
    concurrency: int
    contract: Contract | None = None
    """What the profile says of the provider's two dates."""
    sources: Mapping[str, str]
    """By field: "option", the name of a variable, "profile", "default" or "standard input"."""

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
            CredentialsError: The username or the API key is missing.
        """
        if missing := self._missing_credentials():
            raise _missing(missing)
        try:
            return BoxisClient(
                self.username,
                self.api_key.reveal() if self.api_key else None,
                tenant=self.tenant,
                base_url=self.base_url,
                timezone=self.timezone,
                concurrency=self.concurrency,
                retry=retry,
                timeout=timeout,
                contract=self.contract,
            )
        except ConfigurationError as error:
            raise ConfigurationError(*map(self._with_source, error.problems)) from None

    def planning_client(self) -> BoxisClient:
        """Make a client that can plan, and do nothing else: it needs no credentials."""
        return BoxisClient(
            self.username or "nobody",
            "no-key-is-needed-to-plan",
            tenant=self.tenant or "none",
            timezone=self.timezone,
            concurrency=self.concurrency,
            contract=self.contract,
        )

    def require_tenant(self) -> str:
        """Return the tenant.

        Raises:
            click.UsageError: There is none.
            CredentialsError: There are no credentials either.
        """
        if not self.tenant:
            if missing := self._missing_credentials():
                raise _missing([*missing, "tenant"])
            raise click.UsageError("no tenant: give --tenant, or set BOXIS_TENANT")
        return self.tenant

    def given_options(self) -> Iterator[str]:
        """Yield the options of this command line again, for a command that the user can paste.

        The API key is not repeated: the command will prompt for it.
        """
        for name in ("profile", "username", "tenant", "base_url", "timezone", "concurrency"):
            if self.sources[name] == FROM_OPTION:
                yield from (f"--{name.replace('_', '-')}", str(getattr(self, name)))
        if self.sources["api_key"] in (FROM_OPTION, _FROM_STDIN):
            yield from ("--key", _STDIN)

    def _with_source(self, problem: str) -> str:
        """Add to a problem where the value comes from; it begins with the name of the setting."""
        source = self.sources.get(problem.partition(" ")[0], "default")
        return problem if source == "default" else f"{problem} (from: {source})"

    def _missing_credentials(self) -> list[str]:
        credentials = (("username", self.username), ("API key", self.api_key))
        return [name for name, value in credentials if not value]


def read_settings(
    ctx: click.Context, values: ConnectionValues, *, prompt_for_key: bool = True
) -> Settings:
    """Put the settings together from what click found for the connection options.

    Args:
        ctx: The command's context.
        values: The connection options.
        prompt_for_key: Whether `--key -` reads the key; a command that sends nothing needs none.
    """
    sources = {name: _source(ctx, name) for name in values}
    api_key = values["api_key"]
    if api_key and sources["api_key"] == FROM_OPTION:
        if api_key.reveal() == _STDIN:
            values["api_key"] = read_key() if prompt_for_key else None
            sources["api_key"] = _FROM_STDIN
        else:
            warn(_KEY_IN_HISTORY)
    contract = None if ctx.default_map is None else ctx.default_map.get("contract")
    return Settings(**values, contract=contract, sources=sources)


def _source(ctx: click.Context, name: str) -> str:
    match ctx.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return FROM_OPTION
        case ParameterSource.ENVIRONMENT:
            return VARIABLES[name]
        case ParameterSource.DEFAULT_MAP:
            return "profile"
        case _:
            return "default"


def secret(value: str | Secret) -> Secret:
    """Hide a text; as this takes every text, no error message of click's can show it."""
    return value if isinstance(value, Secret) else Secret(value)


def read_key() -> Secret:
    """Prompt for the API key, without echo, or read one line of a pipe."""
    if sys.stdin.isatty():
        return Secret(click.prompt("API key", hide_input=True, err=True, type=str).strip())
    return Secret(sys.stdin.readline().strip())


def _missing(names: list[str]) -> CredentialsError:
    return CredentialsError(
        f"no {' and no '.join(names)}",
        advice=(
            f"write them to {profile_path()}: boxis init; or set BOXIS_USERNAME, BOXIS_API_KEY and "
            "BOXIS_TENANT, or give --username, --key - and --tenant"
        ),
    )
