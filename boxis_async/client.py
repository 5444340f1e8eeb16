"""The public client: whom to ask, as whom, and how."""

from __future__ import annotations

import math
import os
import time
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, cast
from weakref import WeakSet

import attrs

from boxis_async._checks import (
    problem_with_choice,
    problem_with_concurrency,
    problem_with_contract,
    problem_with_dates,
    problem_with_deadline,
    problem_with_every,
    problem_with_hooks,
    problem_with_limiter,
    problem_with_margin,
    problem_with_max_rate,
    problem_with_max_response_bytes,
    problem_with_name,
    problem_with_resume,
    problem_with_retry,
    problem_with_returntype,
    problem_with_row_limit,
    problem_with_settle,
    problem_with_since,
    problem_with_tenants,
    problem_with_timeout,
    problem_with_unique_by,
    problem_with_watched,
    problem_with_window,
)
from boxis_async._http.rate_limiter import RateLimiter
from boxis_async._http.request import Options
from boxis_async._http.requester import Requester
from boxis_async._http.transport import Transport, problem_with_http_client, problem_with_url
from boxis_async._plain import plain_date, plain_length, plain_number, plain_text
from boxis_async._run.adaptive_windows import Traffic
from boxis_async._run.fetch import Fetcher
from boxis_async._run.known_server import KnownServer
from boxis_async._run.prefetch import Prefetches
from boxis_async._run.query import Query
from boxis_async._run.windows import overlap_by
from boxis_async._wire.signing import Credentials, Key
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import ClientClosedError, ConfigurationError, UsageError
from boxis_async.retry import RetryPolicy
from boxis_async.stream import CDRStream
from boxis_async.watch import Watch, problem_with_position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from boxis_async._watch.watcher import Watcher
    from boxis_async.call_model import Call
    from boxis_async.call_stream import CallStream
    from boxis_async.contract_model import Contract
    from boxis_async.coverage import Coverage
    from boxis_async.hooks import Hooks
    from boxis_async.models import CDR
    from boxis_async.types import (
        BadRecords,
        Clip,
        HTTPClient,
        Limiter,
        OnError,
        Order,
        Reached,
        ReturnType,
        UniqueBy,
    )
    from boxis_async.watch_model import Position

__all__ = ["BoxisClient"]

BASE_URL: Final = "https://api.boxis.net/"

_TENANTS_REMEMBERED = 1000


class _Unchanged:
    """Says of an option that it stays as it is, as None means something."""

    def __repr__(self) -> str:
        return "unchanged"


_UNCHANGED: Final = _Unchanged()


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
        deadline: float | None = None,
        returntype: ReturnType = "json",
        retry: RetryPolicy | None = None,
        max_rate: float | None = None,
        max_response_bytes: int = 64 * 1024 * 1024,
        allow_insecure: bool = False,
        http_client: HTTPClient | None = None,
        hooks: Hooks | None = None,
        contract: Contract | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        """Check the configuration; nothing is sent yet.

        Args:
            username: The user's e-mail address; else from `BOXIS_USERNAME`.
            api_key: The user's key, which signs each request; else from `BOXIS_API_KEY`.
            tenant: The tenant unless `cdrs()` names one, such as `VOICE-29001-1`; else from
                `BOXIS_TENANT`.
            base_url: Where the API is; else from `BOXIS_BASE_URL`, else
                `https://api.boxis.net/`.
            timezone: The zone of the provider's wall clock, an IANA name or a tzinfo. Swiss
                time, as the page's one example has it.
            concurrency: Requests in flight at most, over all streams of this client.
            timeout: Seconds for one attempt, from connecting to the last byte.
            deadline: Seconds for a whole answer: for a stream from its first item, for `calls`,
                `call` and `probe` from their beginning, with all waits and attempts, and with what
                you do between two items. After that it raises `DeadlineError`, unless all is
                fetched by then. None is no limit.
            returntype: The form of the answers, `"json"` or `"xml"` (extra `xml`).
            retry: How often, and after how long, a request that failed is sent again.
            max_rate: Requests a second at most, over all streams; a fraction is rounded down, less
                than one is one in so many seconds.
            max_response_bytes: The largest answer that is read, decompressed; a window with more
                is asked for in halves.
            allow_insecure: Whether to send to a plain `http://` address that is not on
                loopback, though whoever listens can replay the authcode.
            http_client: An `httpx.AsyncClient` or `httpx2.AsyncClient` that lends its connections,
                proxies and certificates; it stays yours and stays open. Its headers, time-outs and
                redirects do not apply. Its pool should have as many connections as `concurrency`:
                with fewer, requests wait for a place.
            hooks: Functions to call on each request, response, retry and window.
            contract: What the provider's two dates mean, as `probe()` found it. Without one the
                client finds out what it must know, by some requests more. Where the dates follow
                the rule *within*, windows need one that states the `longest_call`.
            limiter: Says when each request may be sent, where one limit holds for several clients;
                `concurrency` and `max_rate` apply as well.

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
            problem_with_name(username, "username"),
            problem_with_name(tenant, "tenant"),
            _problem_with_address(base_url, allow_insecure=allow_insecure),
            problem_with_timezone,
            problem_with_concurrency(concurrency),
            problem_with_timeout(timeout),
            problem_with_deadline(deadline),
            problem_with_returntype(returntype),
            problem_with_retry(retry),
            problem_with_max_rate(max_rate),
            problem_with_max_response_bytes(max_response_bytes),
            problem_with_http_client(http_client),
            problem_with_hooks(hooks),
            problem_with_contract(contract),
            problem_with_limiter(limiter),
        )
        if any(problems) or username is None or key is None or wall_clock is None:
            raise ConfigurationError(*filter(None, problems))
        self._username = username
        self._tenant = tenant
        self._base_url = base_url
        returntype = cast("ReturnType", plain_text(returntype))
        self._returntype: ReturnType = returntype
        self._wall_clock = wall_clock
        self._options = Options(
            plain_number(timeout), retry or RetryPolicy(), RateLimiter(None), _seconds(deadline)
        )
        self._transport = Transport(
            base_url,
            most_bytes=max_response_bytes,
            concurrency=concurrency,
            http_client=http_client,
        )
        self._requester = Requester(
            self._transport,
            Credentials(username, key),
            concurrency=concurrency,
            rate_limiter=RateLimiter(max_rate),
            limiter=limiter,
            returntype=returntype,
            hooks=hooks,
        )
        self._fetcher = Fetcher(self._requester, returntype=returntype)
        self._prefetches = Prefetches(concurrency)
        self._watchers: WeakSet[Watcher] = WeakSet()
        self._traffic: dict[str, Traffic] = {}
        self._known_server = KnownServer(contract)
        self._overlap = overlap_by(contract)

    def with_options(
        self,
        *,
        timeout: float | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
        retry: RetryPolicy | _Unchanged | None = _UNCHANGED,
        tenant: str | _Unchanged | None = _UNCHANGED,
        max_rate: float | _Unchanged | None = _UNCHANGED,
    ) -> BoxisClient:
        """Make a client with other options, that shares connections, clock and limits.

        To close either closes both. What is left out stays as it is.

        Args:
            timeout: Seconds for one attempt.
            deadline: Seconds for a whole answer, see `BoxisClient`; None is no limit.
            retry: How often, and after how long, a request that failed is sent again; None is
                `RetryPolicy()`, as for a new client.
            tenant: The tenant unless `cdrs()` names one.
            max_rate: Requests a second at most over the streams of the new client; the limit of
                this one, and its concurrency, apply as well.

        Raises:
            ConfigurationError: Something is wrong; it names all of it.
            ClientClosedError: The client is closed.
        """
        self._prefetches.check_open()
        options = self._options
        timeout = options.timeout if isinstance(timeout, _Unchanged) else timeout
        retry = options.retry if isinstance(retry, _Unchanged) else retry
        tenant = self._tenant if isinstance(tenant, _Unchanged) else tenant
        limiter, left = options.rate_limiter, options.deadline
        problems = [
            problem_with_timeout(timeout),
            problem_with_retry(retry),
            problem_with_name(tenant, "tenant"),
        ]
        if not isinstance(max_rate, _Unchanged):
            problems.append(problem_with_max_rate(max_rate))
        if not isinstance(deadline, _Unchanged):
            problems.append(problem_with_deadline(deadline))
        if any(problems):
            raise ConfigurationError(*filter(None, problems))
        if not isinstance(max_rate, _Unchanged):
            limiter = RateLimiter(max_rate, parent=limiter)
        if not isinstance(deadline, _Unchanged):
            left = _seconds(deadline)
        client = object.__new__(type(self))
        client.__dict__.update(self.__dict__)
        client._tenant = None if tenant is None else plain_text(tenant)
        client._options = Options(plain_number(timeout), retry or RetryPolicy(), limiter, left)
        return client

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
        bad_records: BadRecords = "raise",
        resume: Coverage | None = None,
        settle: timedelta = timedelta(hours=24),
        carry_keys: bool = False,
    ) -> CDRStream:
        """Stream a tenant's records between two moments; nothing is sent before the first item.

        The stream holds what one undivided request would have returned, each key once, or it
        raises. The server decides which records belong to a range (its page does not say
        whether it looks at their start, their end, or both).

        Args:
            datefrom: The start of the range. Aware datetimes are converted to the provider's
                zone, naive ones are taken as its wall clock, dates as midnight.
            dateto: The end of the range; without it, now, by the later of two clocks: this
                machine's, and the one that the provider's answers show. Without both, one request
                asks for everything that the provider holds.
            tenant: The tenant, such as `VOICE-29001-1`, unless the client has one.
            window: The span that one request asks for, in whole seconds, counted from
                `datefrom`; None sizes each window by what came back before, so that an answer
                holds about 1,000 records: from a minute to 31 days.
            order: `"time"` hands over windows in order, and in each the records by wall-clock
                start as sent, then by sequence; `"completion"` hands over windows as they
                arrive.
            unique_by: `"uniqueid"` gives each uniqueid once, by the leg that is handed over first
                (with other windows maybe another one, if the server goes by ends); `"leg"` each
                uniqueid and sequence (start, channel and dstchannel where the sequence is missing
                or 0); a function of a CDR each of its values. A record without a uniqueid is known
                by its whole content under the first two.
            clip: `"start"` keeps only records that start in `[datefrom, dateto)`, so that
                neighbouring months share none.
            row_limit: So many records in an answer, or more, mean that it may be cut off: the
                window is then asked for in halves. Without it the client proves that answers of
                100 records or more are whole.
            on_error: What happens to a window that failed for good: `"raise"` hands over what
                comes before it in order, then raises; `"collect"` continues, and lists it in
                `CDRStream.failures`.
            bad_records: What happens to a record that cannot be read: `"raise"` fails its window,
                with a `RecordError`; `"collect"` hands over the others, lists it in
                `CDRStream.rejects`, and does not seal the window. An answer that is broken as a
                whole fails in any case.
            resume: The `coverage` of an earlier run of the same query: only what is not sealed in
                it is fetched.
            settle: How long after the end of a window its records may still change: until then,
                by the earlier of the two clocks, it is fetched, but not sealed in the coverage.
            carry_keys: Whether the coverage carries a mark (48 bytes) of every record, so that a
                resumed run also recognises a further leg of a call that was handed over before.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            ClientClosedError: The client is closed.
        """
        query = self._query(
            datefrom,
            dateto,
            tenant=tenant,
            window=window,
            order=order,
            unique_by=unique_by,
            clip=clip,
            row_limit=row_limit,
            on_error=on_error,
            bad_records=bad_records,
            resume=resume,
            settle=settle,
            carry_keys=carry_keys,
        )
        return CDRStream(query, self._fetcher, self._prefetches, self._options)

    async def calls(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date | None = None,
        dateto: date | None = None,
        *,
        tenant: str | None = None,
        margin: timedelta = timedelta(hours=4),
        reached: Callable[[CDR], Reached | None] | None = None,
        country: str = "CH",
        window: timedelta | None = None,
        row_limit: int | None = None,
    ) -> list[Call]:
        """Fetch the calls that start in `[datefrom, dateto)`, each once, with all of its legs.

        A call belongs to where its first leg starts, so neighbouring months share none and lack
        none. All legs are kept in memory until the end: see `iter_calls` for a long range.

        Args:
            datefrom: The start of the range, as for `cdrs`.
            dateto: The end of the range; without it, now. Of a call that is not over, there are the
                legs that are written by then.
            tenant: The tenant, unless the client has one.
            margin: How far beyond both ends of the range legs are fetched; and further, where a
                call of the range has a leg in the last quarter of it. The widest span measured in
                public records is 2 h 14 min.
            reached: Whom a leg reached, see `group_calls`.
            country: The country that a number with a single leading 0 is of, as ISO 3166 writes it.
            window: The span that one request asks for, as for `cdrs`.
            row_limit: So many records in an answer may mean that it is cut, as for `cdrs`.

        Returns:
            The calls by their start.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            WindowError: A window failed for good.
            DeadlineError: It took longer than the client's `deadline`.
            ClientClosedError: The client is closed.
        """
        return await self._calls(
            datefrom,
            dateto,
            tenant=tenant,
            margin=margin,
            reached=reached,
            country=country,
            window=window,
            row_limit=row_limit,
            closes_early=False,
        ).to_list()

    def iter_calls(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date | None = None,
        dateto: date | None = None,
        *,
        tenant: str | None = None,
        margin: timedelta = timedelta(hours=4),
        reached: Callable[[CDR], Reached | None] | None = None,
        country: str = "CH",
        window: timedelta | None = None,
        row_limit: int | None = None,
        on_error: OnError = "raise",
        bad_records: BadRecords = "raise",
    ) -> CallStream:
        """Stream what `calls` fetches, in little memory; nothing is sent before the first item.

        A call is handed over once it was quiet for `margin`, so a long one comes after some that
        start later.

        Args:
            datefrom: The start of the range, as for `calls`, and so are all others but two.
            dateto: The end of the range.
            tenant: The tenant, unless the client has one.
            margin: How long after the end of its last leg a call is kept open.
            reached: Whom a leg reached, see `group_calls`.
            country: The country that a number with a single leading 0 is of.
            window: The span that one request asks for.
            row_limit: So many records in an answer may mean that it is cut.
            on_error: What happens to a window that failed for good, as for `cdrs`; with `"collect"`
                it is in `CallStream.failures`, and calls lack its legs.
            bad_records: What happens to a record that cannot be read, as for `cdrs`; with
                `"collect"` it is in `CallStream.rejects`, and its call lacks a leg.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            WindowError: While iterating: a window failed for good.
            LateLegError: While iterating: a call was quiet for longer than the margin.
            ClientClosedError: The client is closed.
        """
        return self._calls(
            datefrom,
            dateto,
            tenant=tenant,
            margin=margin,
            reached=reached,
            country=country,
            window=window,
            row_limit=row_limit,
            on_error=on_error,
            bad_records=bad_records,
            closes_early=True,
        )

    def watch(
        self,
        since: timedelta | date | None = None,
        *,
        every: timedelta = timedelta(seconds=30),
        tenants: Iterable[str] | None = None,
        position: str | Position | None = None,
        settle: timedelta = timedelta(hours=24),
    ) -> Watch:
        """Watch for new and changed legs, without end; nothing is sent before the first item.

        `Watch.calls` gives calls instead. An outage does not end the watch: it is logged, and the
        watch continues where it was. A refusal of who asks ends it.

        Args:
            since: From when on a leg counts, by its end, where no position is known: how long ago,
                or a moment (aware datetimes, naive ones by the provider's wall clock, dates). None
                is from now on.
            every: How often it looks. Legs of up to 15 minutes are looked at each time, longer ones
                every few minutes, see `Watch.freshness`; where the contract says that the
                provider's filter goes by the end too, all are looked at each time.
            tenants: The tenants, unless it is the client's own. They are looked at in turn.
            position: What is handled: a text that `Watch.position` gave, or what keeps it, a
                `FilePosition` or another `Position`. Tenants that it does not know begin with
                `since`.
            settle: How old a leg may be when it changes for the last time, from its start. All that
                is younger is looked at once an hour, and remembered.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            WindowError: While iterating: the provider refuses who asks.
            ContractError: While iterating: the provider's answers would lose calls.
            ClientClosedError: The client is closed.
        """
        self._prefetches.check_open()
        if tenants is None:
            names = [] if self._tenant is None else [self._tenant]
            problem = None if names else "no tenant: give tenants=, or set BOXIS_TENANT"
        else:
            tenants = tenants if isinstance(tenants, str) else list(tenants)
            problem = problem_with_tenants(tenants)
            names = [] if problem else [plain_text(name) for name in tenants]
        # Loaded here, as `probe` below: many programs never need it.
        from boxis_async._watch.watcher import Watcher  # noqa: PLC0415

        problems = (
            problem,
            problem_with_since(since),
            problem_with_every(every),
            problem_with_watched(settle),
            problem_with_position(position),
        )
        if any(problems):
            raise UsageError(*filter(None, problems))
        settle = plain_length(settle)
        watcher = Watcher(
            self,
            names,
            since=self._since(since, settle),
            every=plain_length(every),
            settle=settle,
            position=plain_text(position) if isinstance(position, str) else position,
        )
        self._watchers.add(watcher)
        return Watch(watcher)

    async def call(
        self, section: str, action: str, /, *, retry: bool = False, **parameters: object
    ) -> dict[str, Any]:
        """Call any function of the API, signed, and return what it returned.

        No tenant is added; give the function's own parameters: texts, whole numbers, dates,
        or naive datetimes on the provider's wall clock; and lists and dicts of these.

        `recipients=["+41…", "+41…"]` is sent as `recipients[1]` and `recipients[2]`, as the page
        "Send SMS" shows it, and `options={"flash": 1}` as `options[flash]`, as PHP reads it.

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
            DeadlineError: It took longer than the client's `deadline`.
            ClientClosedError: The client is closed.
        """
        self._prefetches.check_open()
        problems = (
            problem_with_name(section, "section"),
            problem_with_name(action, "action"),
            None if section and action else "section and action must name a function",
        )
        if any(problems):
            raise UsageError(*filter(None, problems))
        section, action = plain_text(section), plain_text(action)
        options = self._options
        if not retry:
            options = attrs.evolve(options, retry=attrs.evolve(options.retry, attempts=1))
        return await self._fetcher.call(section, action, parameters, options=options)

    async def probe(
        self,
        tenant: str | None = None,
        around: date | None = None,
        *,
        max_requests: int = 12,
    ) -> Contract:
        """Find out what the provider's two dates mean, by a handful of requests.

        The probe looks at calls that are at rest. It finds out which of twenty rules the dates
        follow, whether answers are cut off at some number of records, in which order records come,
        whether their keys are unique, and whether the time zone fits. What the calls of the tenant
        do not decide is unknown, and never guessed.

        Args:
            tenant: The tenant, unless the client has one.
            around: Where to look for calls; a date is its noon. By default the hours that came to
                rest most recently.
            max_requests: So many requests are sent at most, those that are sent again included.

        Returns:
            What was found, with the evidence for each finding.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            WindowError: A window failed for good, and no smaller one can help.
            DeadlineError: It took longer than the client's `deadline`.
            ClientClosedError: The client is closed.
        """
        self._prefetches.check_open()
        # Loaded here: it is rarely needed, and takes 6 ms.
        from boxis_async.contract import probe  # noqa: PLC0415

        return await probe(
            self._requester,
            self._options,
            self._wall_clock,
            returntype=self._returntype,
            tenant=self._tenant if tenant is None else tenant,
            around=around,
            max_requests=max_requests,
        )

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._base_url

    @property
    def timezone(self) -> tzinfo:
        """The zone of the provider's wall clock."""
        return self._wall_clock.zone

    @property
    def contract(self) -> Contract:
        """What is known of the provider's two dates: from `contract=`, or learned from answers.

        The client learns only what its streams rest on: whether answers are cut off, and whether
        the dates are ignored or follow the rule *within*. `probe()` finds out the rest.
        """
        return self._known_server.contract

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the provider's clock was ahead of this machine's, or None.

        As the latest answer had it; the provider sends whole seconds, and the answer's way here
        counts as its lag. None before the first answer with a timestamp.
        """
        return self._requester.clock.observed_offset

    async def aclose(self) -> None:
        """Close the client: its streams are cut short, its connections closed.

        As often and from whichever task you like, on the event loop that used it. An
        `http_client` that was passed in stays open.
        """
        self._requester.check_loop()
        try:
            for watcher in list(self._watchers):
                watcher.close(ClientClosedError("the client was closed while a watch was open"))
            await self._prefetches.close()
        finally:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._prefetches.check_open()
        self._requester.bind()
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
        if not hasattr(self, "_prefetches"):  # in the traceback of its own ConfigurationError
            return "<BoxisClient(not built)>"
        state = "closed" if self._prefetches.is_closed else "open"
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        return f"<BoxisClient({self._username!r}{tenant}, base_url={self._base_url!r}, {state})>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BoxisClient holds connections and a key: make one where it is needed")

    def _calls(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date | None,
        dateto: date | None,
        *,
        tenant: str | None,
        margin: timedelta,
        reached: Callable[[CDR], Reached | None] | None,
        country: str,
        window: timedelta | None,
        row_limit: int | None,
        on_error: OnError = "raise",
        bad_records: BadRecords = "raise",
        closes_early: bool,
    ) -> CallStream:
        query = self._query(
            datefrom,
            dateto,
            tenant=tenant,
            window=window,
            unique_by="leg",
            clip=None if datefrom is None else "start",
            row_limit=row_limit,
            on_error=on_error,
            bad_records=bad_records,
            further_problem=problem_with_margin(margin),
        )
        # Loaded here, as `probe` below: many programs never need it.
        from boxis_async.call_range import calls_of_range  # noqa: PLC0415

        context = self._fetcher, self._prefetches, self._options
        return calls_of_range(
            query,
            context,
            margin=plain_length(margin),
            reached=reached,
            country=country,
            closes_early=closes_early,
        )

    def _query(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date | None,
        dateto: date | None,
        *,
        tenant: str | None,
        window: timedelta | None,
        order: Order = "time",
        unique_by: UniqueBy,
        clip: Clip,
        row_limit: int | None,
        on_error: OnError = "raise",
        bad_records: BadRecords = "raise",
        resume: Coverage | None = None,
        settle: timedelta = timedelta(hours=24),
        carry_keys: bool = False,
        further_problem: str | None = None,
    ) -> Query:
        """Check the arguments of `cdrs`, and put them together.

        Raises:
            UsageError: An argument is missing or wrong; it names all that is.
            ClientClosedError: The client is closed.
        """
        self._prefetches.check_open()
        tenant = self._tenant if tenant is None else tenant
        problems = (
            None if tenant else "no tenant: give tenant=, or set BOXIS_TENANT",
            problem_with_name(tenant, "tenant"),
            *problem_with_dates(datefrom, dateto, clip),
            problem_with_window(window),
            problem_with_choice(order, "order", ("time", "completion")),
            problem_with_unique_by(unique_by),
            problem_with_choice(clip, "clip", ("start", None)),
            problem_with_row_limit(row_limit),
            problem_with_choice(on_error, "on_error", ("raise", "collect")),
            problem_with_choice(bad_records, "bad_records", ("raise", "collect")),
            problem_with_resume(resume),
            problem_with_settle(settle),
            problem_with_choice(carry_keys, "carry_keys", (True, False)),
            further_problem,
        )
        if any(problems) or not tenant:
            raise UsageError(*filter(None, problems))
        tenant = plain_text(tenant)
        query = Query(
            tenant=tenant,
            datefrom=None if datefrom is None else plain_date(datefrom),
            dateto=None if dateto is None else plain_date(dateto),
            window=None if window is None else plain_length(window),
            order=cast("Order", plain_text(order)),
            unique_by=cast(
                "UniqueBy", plain_text(unique_by) if isinstance(unique_by, str) else unique_by
            ),
            clip=None if clip is None else cast("Clip", plain_text(clip)),
            row_limit=row_limit,
            on_error=cast("OnError", plain_text(on_error)),
            bad_records=cast("BadRecords", plain_text(bad_records)),
            resume=resume,
            settle=plain_length(settle),
            carry_keys=carry_keys,
            wall_clock=self._wall_clock,
            clock=self._requester.clock,
            traffic=self._traffic_of(tenant),
            known_server=self._known_server,
            overlap=self._overlap,
        )
        query.check()
        return query

    def _since(self, since: timedelta | date | None, settle: timedelta) -> timedelta | float:
        """Give from when on a watch counts: how long ago, or a moment in Unix seconds.

        Raises:
            UsageError: It lies in the future, or before all records.
        """
        if since is None or isinstance(since, timedelta):
            length = timedelta(0) if since is None else plain_length(since)
            ago: timedelta | float = length
            begin = time.time() - length.total_seconds()
        else:
            given = plain_date(since)
            if not isinstance(given, datetime):
                given = datetime(given.year, given.month, given.day)  # noqa: DTZ001 - see below
            if given.tzinfo is None:
                given = given.replace(tzinfo=self._wall_clock.zone)
            try:
                begin = given.timestamp()
            except (OverflowError, ValueError):
                begin = float("-inf")
            ago = begin
            if begin > self._requester.clock.latest() + 1:
                raise UsageError(f"since ({since}) lies in the future: give a moment that is past")
        if begin < settle.total_seconds():
            raise UsageError(f"since ({since}) lies too far back: give a moment after 1970")
        return ago

    def _traffic_of(self, tenant: str) -> Traffic:
        """Give what is known of a tenant's calls; of so many tenants at most."""
        if tenant not in self._traffic and len(self._traffic) == _TENANTS_REMEMBERED:
            del self._traffic[next(iter(self._traffic))]
        return self._traffic.setdefault(tenant, Traffic())


def _seconds(deadline: float | None) -> float:
    return math.inf if deadline is None else plain_number(deadline)


def _given(value: str | None, variable: str) -> str | None:
    """Give what was passed, or what the environment has; empty is as good as nothing."""
    if value is None:
        value = os.environ.get(variable)
    return (plain_text(value) if isinstance(value, str) else value) or None  # pyright: ignore[reportUnnecessaryIsInstance] - checked later


def _key(api_key: str | None) -> tuple[Key | None, str | None]:
    """Wrap the key, or say what is wrong with it; no error is raised that could hold it."""
    text = _given(api_key, "BOXIS_API_KEY")
    problem = _missing(text, "api_key", "BOXIS_API_KEY") or problem_with_name(text, "api_key")
    return (None if text is None or problem else Key(text)), problem


def _problem_with_address(base_url: object, *, allow_insecure: bool) -> str | None:
    problem = problem_with_name(base_url, "base_url") if isinstance(base_url, str) else None
    return problem or problem_with_url(base_url, allow_insecure=allow_insecure)


def _wall_clock(timezone: str | tzinfo) -> tuple[WallClock | None, str | None]:
    try:
        return WallClock(timezone), None
    except UsageError as error:
        return None, str(error)


def _missing(value: object, name: str, variable: str) -> str | None:
    return None if value is not None else f"no {name}: give {name}=, or set {variable}"
