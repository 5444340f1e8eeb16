"""The client of a worker of `boxis fleet run`: of the worker's environment, else its profile.

The function is sent to the workers by its name, with what is no secret. Username and key are looked
up on the worker: the environment counts before the profile, as in every command.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from boxis_async import BoxisClient, ConfigurationError

from .profiles import load_profile
from .settings import DEFAULT_TIMEZONE, VARIABLES

if TYPE_CHECKING:
    from boxis_async.types import Limiter

__all__ = ["client_of_profile"]


def client_of_profile(
    *,
    limiter: Limiter,
    profile: str | None,
    base_url: str | None = None,
    timezone: str | None = None,
) -> BoxisClient:
    """Make the client of a worker.

    Args:
        limiter: What says when it may send.
        profile: The name of a profile on the worker's machine; None is the default, if any.
        base_url: Where the API is, if an option of the command said so.
        timezone: The provider's zone, if an option of the command said so.

    Raises:
        ConfigurationError: Something is missing or wrong.
        CredentialsError: Others may read the profile file, and it holds a key.
        ProfileError: The profile is missing, or cannot be understood.
    """
    values: dict[str, Any] = load_profile(profile or os.environ.get(VARIABLES["profile"]) or None)
    key = values.get("api_key")
    try:
        return BoxisClient(
            os.environ.get(VARIABLES["username"]) or values.get("username"),
            os.environ.get(VARIABLES["api_key"]) or (key.reveal() if key else None),
            base_url=base_url or os.environ.get(VARIABLES["base_url"]) or values.get("base_url"),
            timezone=timezone or values.get("timezone", DEFAULT_TIMEZONE),
            contract=values.get("contract"),
            limiter=limiter,
        )
    except ConfigurationError as error:
        # Raised anew: the frames of the first one hold the key.
        raise ConfigurationError(*error.problems) from None
