"""The proxies that the environment names, as httpx reads it: what they are called when they fail.

Their addresses may hold a password, so only host and port are shown.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["in_words", "unusable_variable"]

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def in_words(url: str, host: str, port: int) -> str:
    """Name the variable whose proxy a request goes through; empty if it goes through none.

    Args:
        url: Where the request is to arrive.
        host: The host to which a connection is made.
        port: Its port.
    """
    target = urlsplit(url)
    if _is_at(target, host, port):
        return ""
    name = next(_variables_of(target.scheme, host, port), "the system's settings")
    return (
        f"through the proxy {host}:{port} of {name}: set that right, or name {target.hostname} in "
        "NO_PROXY"
    )


def unusable_variable(is_usable: Callable[[str], bool]) -> str:
    """Find which variable of the environment names a proxy that cannot be used."""
    names = {
        name: value
        for name, value in os.environ.items()
        if name.lower() in {"http_proxy", "https_proxy", "all_proxy", "no_proxy"} and value
    }
    for name, value in names.items():
        if name.lower() != "no_proxy" and not is_usable(_with_scheme(value)):
            return name
    exceptions = [name for name in names if name.lower() == "no_proxy"]
    return " or ".join(exceptions or names) or "a setting of proxies"


def _variables_of(scheme: str, host: str, port: int) -> Iterator[str]:
    # In the order in which httpx looks, as two of them may name the same proxy.
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        value = os.environ.get(name)
        if value and _is_at(urlsplit(_with_scheme(value)), host, port):
            yield name


def _is_at(address: SplitResult, host: str, port: int) -> bool:
    try:
        at = address.port or _PORTS.get(address.scheme)
    except ValueError:  # a port that is none
        return False
    return (address.hostname, at) == (host.strip("[]").lower(), port)


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"
