"""A provider together with the address at which a server serves it."""

from __future__ import annotations

from attrs import frozen

from .provider import Provider


@frozen
class ServedProvider:
    """A provider, and where a program reaches it.

    Attributes:
        url: The address, such as `http://127.0.0.1:8000/p1/`.
        provider: The provider that answers there.
    """

    url: str
    provider: Provider

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables from which a client of it takes its settings."""
        return {
            "BOXIS_USERNAME": self.provider.username,
            "BOXIS_API_KEY": self.provider.api_key,
            "BOXIS_TENANT": self.provider.tenant,
            "BOXIS_BASE_URL": self.url,
        }
