"""The door: who asks, where, and how; then `cdrs()` for calls and `call()` for the rest."""

from __future__ import annotations

import math
import os
import re
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from ._http.rate_limiter import Pace, problem_with_rate
from ._http.requester import Sender
from ._http.transport import HTTPClient, Transport, problem_with_http_client, problem_with_url
from ._run.adaptive_windows import Traffic
from ._run.dedupe import UniqueBy, problem_with_unique_by
from ._run.fetch import Fetcher
from ._run.prefetch import OnError, Order, Runs
from ._run.query import Clip, Query
from ._run.windows import problem_with_length
from ._wire.answers import Credentials, Key, ReturnType, problem_with_returntype
from ._wire.json import LONE_SURROGATE
from ._wire.turns import Turns
from ._wire.wallclock import Range, WallClock
from .coverage import Coverage
from .errors import ConfigurationError, UsageError
from .retry import RetryPolicy
from .stream import CDRStream

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BoxisClient"]

BASE_URL: Final = "https://api.boxis.net/"

_LONGEST = 1e9
_TENANTS = 1000


class BoxisClient:
    """A client of the Boxis telephony API, for one user.

    Open it once, share it between tasks, and close it: `async with BoxisClient(...)`, or
    `aclose()` as often and from whichever task you like. It belongs to the event loop that
    first uses it.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        username: str | None = None,
        api_key: str | None = None,
        *,
        tenant: str | None = None,
        base_url: str | None = None,
        timezone: str | tzinfo = "Europe/Zurich",
        concurrency: int = 8,
        timeout: float = 30.0,
        returntype: ReturnType = "json",
        retry: RetryPolicy | None = None,
        max_rate: float | None = None,
        max_response_bytes: int = 64 * 1024 * 1024,
        allow_insecure: bool = False,
        http_client: HTTPClient | None = None,
    ) -> None:
        """Check the configuration; nothing is sent yet.

        Args:
            username: The user's e-mail address; else from `BOXIS_USERNAME`.
            api_key: The user's key, which signs each request; else from `BOXIS_API_KEY`.
            tenant: The tenant to ask for unless `cdrs()` names one, such as `VOICE-29001-1`;
                else from `BOXIS_TENANT`.
            base_url: Where the API is; else from `BOXIS_BASE_URL`, else
                `https://api.boxis.net/`.
            timezone: The zone of the provider's wall clock, an IANA name or a tzinfo. Swiss
                time, as the page's one example has it.
            concurrency: Requests in flight at most, over all streams of this client.
            timeout: Seconds for one attempt, from connecting to the last byte.
            returntype: The form of the answers, `"json"` or `"xml"` (extra `xml`).
            retry: How often, and after how long, a request that failed is sent again.
            max_rate: Requests a second at most, over all streams; a fraction is rounded down, less
                than one is one in so many seconds.
            max_response_bytes: The largest answer that is read, decompressed; a window with more
                is asked for in halves.
            allow_insecure: Whether to send to a plain `http://` address that is not on
                loopback, though whoever listens can replay the authcode.
            http_client: An `httpx.AsyncClient` that lends its connections, proxies and
                certificates; it stays yours and stays open. Its headers, time-outs and
                redirects do not apply.

        Raises:
            ConfigurationError: Something is missing or wrong; it names all of it.
            MissingExtraError: `returntype="xml"` without the extra `xml`.
        """
        key, problem_with_key = _key(api_key)
        del api_key  # a traceback that shows locals must not show it
        username = _given(username, "BOXIS_USERNAME")
        tenant = _given(tenant, "BOXIS_TENANT")
        base_url = _given(base_url, "BOXIS_BASE_URL") or BASE_URL
        wall_clock, problem_with_timezone = _wall_clock(timezone)
        problems = (
            _missing(username, "username", "BOXIS_USERNAME"),
            problem_with_key,
            _problem_with_text(username, "username"),
            _problem_with_text(tenant, "tenant"),
            problem_with_url(base_url, allow_insecure=allow_insecure),
            problem_with_timezone,
            _problem_with_concurrency(concurrency),
            _problem_with_timeout(timeout),
            problem_with_returntype(returntype),
            _problem_with_retry(retry),
            problem_with_rate(max_rate),
            _problem_with_most_bytes(max_response_bytes),
            problem_with_http_client(http_client),
        )
        if any(problems) or username is None or key is None or wall_clock is None:
            raise ConfigurationError(*filter(None, problems))
        self._username = username
        self._tenant = tenant
        self._base_url = base_url
        self._wall_clock = wall_clock
        retry = retry or RetryPolicy()
        turns = Turns()
        self._transport = Transport(
            base_url,
            timeout=timeout,
            most_bytes=max_response_bytes,
            http_client=http_client,
            turns=turns,
        )
        self._sender = Sender(
            self._transport,
            Credentials(username, key),
            concurrency=concurrency,
            retry=retry,
            pace=Pace(max_rate),
            turns=turns,
            returntype=returntype,
        )
        self._fetcher = Fetcher(self._sender, retry=retry, wall_clock=wall_clock)
        self._runs = Runs(concurrency)
        self._traffic: dict[str, Traffic] = {}

    def cdrs(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date | None = None,
        dateto: date | None = None,
        *,
        tenant: str | None = None,
        window: timedelta | None = None,
        order: Order = "time",
        unique_by: UniqueBy = "uniqueid",
        clip: Clip = None,
        row_limit: int | None = None,
        on_error: OnError = "raise",
        resume: Coverage | None = None,
        settle: timedelta = timedelta(hours=24),
        carry_keys: bool = False,
    ) -> CDRStream:
        """Ask for a tenant's calls between two moments; nothing is sent before the first item.

        The stream holds what one undivided request would have returned, each key once, or it
        raises. The server decides which calls belong to a range (its page does not say
        whether it looks at their start, their end, or both).

        Args:
            datefrom: The start of the range. Aware datetimes are converted to the provider's
                zone, naive ones are taken as its wall clock, dates as midnight.
            dateto: The end of the range; without it, now. Without both, one request asks for
                everything that the provider holds.
            tenant: The tenant, such as `VOICE-29001-1`, unless the client has one.
            window: The span that one request asks for, in whole seconds, counted from
                `datefrom`; None sizes each window by what came back before, so that an answer
                holds about 1,000 records: from a minute to 31 days.
            order: `"time"` hands over windows in order, and in each the calls by wall-clock
                start as sent, then by sequence; `"completion"` hands over windows as they
                arrive.
            unique_by: `"uniqueid"` gives each uniqueid once, the first handed over; `"leg"`
                each uniqueid and sequence (start, channel and dstchannel where there is no
                sequence); a function of a CDR each of its values. A record without a uniqueid
                is known by its whole content under the first two.
            clip: `"start"` keeps only calls that start in `[datefrom, dateto)`, so that
                neighbouring months share no call.
            row_limit: So many records in an answer, or more, mean that it may be cut off: the
                window is then asked for in halves. None trusts every answer to be whole.
            on_error: What happens to a window that failed for good: `"raise"` hands over what
                comes before it in order, then raises; `"collect"` goes on, and lists it in
                `CDRStream.failures`.
            resume: The `coverage` of an earlier run of the same query: only what it is not done
                with is fetched.
            settle: How long after the end of a window its records may still change: until then
                it is fetched, but not sealed in the coverage.
            carry_keys: Whether the coverage carries a mark (48 bytes) of every record, so that a
                resumed run also knows a further leg of a call that was handed over before.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            ClientClosedError: The client is closed.
        """
        self._runs.check_open()
        tenant = self._tenant if tenant is None else tenant
        problems = (
            None if tenant else "no tenant: give tenant=, or set BOXIS_TENANT",
            _problem_with_text(tenant, "tenant"),
            *_problems_with_dates(datefrom, dateto, clip),
            problem_with_length(window),
            _problem_with_choice(order, "order", ("time", "completion")),
            problem_with_unique_by(unique_by),
            _problem_with_choice(clip, "clip", ("start", None)),
            _problem_with_row_limit(row_limit),
            _problem_with_choice(on_error, "on_error", ("raise", "collect")),
            _problem_with_resume(resume),
            _problem_with_settle(settle),
            _problem_with_choice(carry_keys, "carry_keys", (True, False)),
        )
        if any(problems) or not tenant:
            raise UsageError(*filter(None, problems))
        query = Query(
            tenant=tenant,
            datefrom=datefrom,
            dateto=dateto,
            ask=self._ask_for,
            horizon=partial(self._horizon, settle),
            zone=self._wall_clock.zone,
            window=window,
            traffic=self._traffic_of(tenant),
            order=order,
            unique_by=unique_by,
            clip=clip,
            row_limit=row_limit,
            on_error=on_error,
            resume=resume,
            carry_keys=carry_keys,
            told=_told(datefrom, dateto),
        )
        query.asked()  # so that a range that cannot be asked for is told now
        query.check_resume()
        return CDRStream(query, self._fetcher, self._runs)

    async def call(
        self, section: str, action: str, /, *, retry: bool = False, **parameters: object
    ) -> dict[str, Any]:
        """Call any function of the API, signed, and give what it gives back.

        No tenant is added; give the function's own parameters: texts, whole numbers, dates,
        or naive datetimes on the provider's wall clock.

        Args:
            section: The API's module, such as `"voip"`.
            action: The module's function, such as `"getLineList"`.
            retry: Whether to send again after a failure. By default only after a refusal of
                the clock, as another function may do something, such as send an SMS.
            parameters: The function's own parameters.

        Returns:
            The answer's `params` as a dict (`{}` when empty, the keys `"0"`, `"1"`, … for a
            list), or what stands beside `result` where a function puts it there.

        Raises:
            UsageError: A parameter cannot be sent.
            RefusedError: The API refused; its text is whole in the error.
            NoAnswerError: No answer came.
            BadAnswerError: What came is no answer of the API.
            ClientClosedError: The client is closed.
        """
        self._runs.check_open()
        problems = (
            _problem_with_text(section, "section"),
            _problem_with_text(action, "action"),
            None if section and action else "section and action must name a function",
        )
        if any(problems):
            raise UsageError(*filter(None, problems))
        return await self._fetcher.call(section, action, parameters, retry=retry)

    @property
    def clock_offset(self) -> float | None:
        """By how many seconds the provider's clock was ahead of this machine's, or None.

        As the latest answer told; the provider tells whole seconds, and the answer's way here
        counts as its lag. None before the first answer that tells.
        """
        return self._sender.clock.noted

    async def aclose(self) -> None:
        """Close the client: its streams are cut short, its connections closed.

        As often and from whichever task you like, on the event loop that used it. An
        `http_client` that was passed in stays open.
        """
        self._sender.check_loop()
        try:
            await self._runs.close()
        finally:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._runs.check_open()
        self._sender.bind()
        self._transport.check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_runs"):  # in the traceback of its own ConfigurationError
            return "<BoxisClient(not built)>"
        state = "closed" if self._runs.is_closed else "open"
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        return f"<BoxisClient({self._username!r}{tenant}, base_url={self._base_url!r}, {state})>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BoxisClient holds connections and a key: make one where it is needed")

    def _traffic_of(self, tenant: str) -> Traffic:
        """Give what is known of a tenant's calls; of so many tenants at most."""
        if tenant not in self._traffic and len(self._traffic) == _TENANTS:
            del self._traffic[next(iter(self._traffic))]
        return self._traffic.setdefault(tenant, Traffic())

    def _ask_for(self, datefrom: date | None, dateto: date | None) -> Range | None:
        if datefrom is None:
            return None
        if dateto is None:
            dateto = self._wall_clock.now(self._sender.clock.now())
        return self._wall_clock.ask(datefrom, dateto)

    def _horizon(self, settle: timedelta) -> datetime:
        # "Now" is raised to the whole second, as the end of a range is: with another rounding
        # a range of whole days up to now would end in a window of one second.
        now = math.ceil(self._sender.clock.now())
        try:
            return self._wall_clock.settled(now - settle.total_seconds())
        except (OverflowError, ValueError, OSError):
            return datetime.min  # noqa: DTZ901 - a wall time before all others: nothing is sealed


def _given(value: str | None, variable: str) -> str | None:
    """Give what was passed, or what the environment says; empty is as good as nothing."""
    return (os.environ.get(variable) if value is None else value) or None


def _key(api_key: str | None) -> tuple[Key | None, str | None]:
    """Wrap the key, or say what is wrong with it; no error is raised that could hold it."""
    text = _given(api_key, "BOXIS_API_KEY")
    problem = _missing(text, "api_key", "BOXIS_API_KEY") or _problem_with_text(text, "api_key")
    return (None if text is None or problem else Key(text)), problem


def _wall_clock(timezone: str | tzinfo) -> tuple[WallClock | None, str | None]:
    try:
        return WallClock(timezone), None
    except UsageError as error:
        return None, str(error)


def _missing(value: object, name: str, variable: str) -> str | None:
    return None if value is not None else f"no {name}: give {name}=, or set {variable}"


def _problem_with_text(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return f"{name} must be a str, not {type(value).__name__}"
    if re.search(LONE_SURROGATE, value):
        return f"{name} is not valid Unicode: it cannot be sent"
    return None


def _problem_with_concurrency(concurrency: object) -> str | None:
    if isinstance(concurrency, int) and not isinstance(concurrency, bool) and concurrency > 0:
        return None
    return f"concurrency must be a whole number, one or more, not {concurrency!r}"


def _problem_with_timeout(timeout: object) -> str | None:
    if (
        isinstance(timeout, (int, float))
        and not isinstance(timeout, bool)
        and 0 < timeout <= _LONGEST
    ):
        return None
    return f"timeout must be seconds, more than zero, at most {_LONGEST:g}, not {timeout!r}"


def _problem_with_retry(retry: object) -> str | None:
    if retry is None or isinstance(retry, RetryPolicy):
        return None
    return f"retry must be a RetryPolicy, not {type(retry).__name__}"


def _problem_with_most_bytes(most: object) -> str | None:
    if isinstance(most, int) and not isinstance(most, bool) and most > 0:
        return None
    return f"max_response_bytes must be a whole number, one or more, not {most!r}"


def _problem_with_row_limit(limit: object) -> str | None:
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return None
    return f"row_limit must be a whole number, one or more, or None, not {limit!r}"


def _problem_with_resume(resume: object) -> str | None:
    if resume is None or isinstance(resume, Coverage):
        return None
    return f"resume must be a Coverage, as Coverage.from_json gives, not {type(resume).__name__}"


def _problem_with_settle(settle: object) -> str | None:
    if isinstance(settle, timedelta) and settle >= timedelta(0):
        return None
    return f"settle must be a timedelta, zero or more, not {settle!r}"


def _problem_with_choice(value: object, name: str, choices: tuple[object, ...]) -> str | None:
    if value in choices:
        return None
    return f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}"


def _problems_with_dates(datefrom: object, dateto: object, clip: object) -> list[str]:
    problems = [
        f"{name} must be a datetime or a date, not {value!r}"
        for name, value in (("datefrom", datefrom), ("dateto", dateto))
        if value is not None and not isinstance(value, date)
    ]
    if datefrom is None and dateto is not None:
        problems.append("dateto without datefrom: give datefrom too")
    if datefrom is None and clip is not None:
        problems.append("clip without datefrom: there is nothing to clip to")
    return problems


def _told(datefrom: date | None, dateto: date | None) -> str:
    if datefrom is None:
        return "everything"
    return f"{datefrom} to {'now' if dateto is None else dateto}"
