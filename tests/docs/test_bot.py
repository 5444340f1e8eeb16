"""The bot of the examples: its answers and posts, and Telegram's own library around it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from calls import call
from clients import connected
from examples import load
from fast_forward import run_fast
from telegram.request import BaseRequest
from waiting import settled
from watched import Kept

from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from telegram.request import RequestData

    from boxis_async import BoxisClient

bot, telegram_chat = load("bot"), load("telegram_chat")

ZURICH = ZoneInfo("Europe/Zurich")
NOON = datetime(2026, 10, 1, 12, tzinfo=ZURICH)
OURS, THEIRS = 123456, 666
HARMLESS = r"<b>=SUM(A1)</b>\n10:00  all\u202e is well"
NASTY = '"<b>=SUM(A1)</b>\n10:00  all\u202e is well" <0041445550199>'


class Chat:
    """A chat service by hand: what it is told to receive, and what it was given to send."""

    def __init__(self, *texts: tuple[int, str]) -> None:
        self.texts = texts
        self.sent: list[str] = []
        self.is_broken = False

    async def receive(self) -> AsyncIterator[tuple[int, str]]:
        for text in self.texts:
            yield text

    async def send(self, chat_id: int, title: str, *lines: str) -> bool:
        assert chat_id == OURS
        if not self.is_broken:
            self.sent.append("\n".join([title, *lines]))
        return not self.is_broken


class TelegramByHand(BaseRequest):
    """Telegram's side of the network: updates go out as JSON, what is sent is kept."""

    def __init__(self) -> None:
        self.updates: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.offsets: list[int | None] = []
        self.sent: list[dict[str, Any]] = []
        self.faults: list[str] = []

    @property
    def read_timeout(self) -> float:
        return 1

    async def initialize(self) -> None:
        """Open nothing."""

    async def shutdown(self) -> None:
        """Close nothing."""

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        *_: object,
        **__: object,
    ) -> tuple[int, bytes]:
        assert method == "POST"
        assert url.startswith("https://api.telegram.org/bot123:stand-in-token/")
        function = url.rpartition("/")[2]
        parameters = {} if request_data is None else request_data.parameters
        if function in self.faults:
            self.faults.remove(function)
            return 502, b"<html>Bad Gateway</html>"
        result: object
        if function == "getMe":
            result = {"id": 1, "is_bot": True, "first_name": "Calls", "username": "calls_bot"}
        elif function == "getUpdates":
            self.offsets.append(parameters.get("offset"))
            result = [await self.updates.get()]
        else:
            assert function == "sendMessage"
            self.sent.append(parameters)
            result = self.message(0, int(parameters["chat_id"]), parameters["text"])
        return 200, json.dumps({"ok": True, "result": result}).encode()

    def say(self, number: int, chat_id: int, text: str | None) -> None:
        message = self.message(number, chat_id, text)
        self.updates.put_nowait({"update_id": number, "message": message})

    @staticmethod
    def message(number: int, chat_id: int, text: str | None) -> dict[str, object]:
        content = {"new_chat_title": "Calls"} if text is None else {"text": text}
        chat = {"id": chat_id, "type": "private", "first_name": "Anna"}
        return {"message_id": number, "date": 1790000000, "chat": chat, **content}


def inbound(start: str, uniqueid: str, **fields: str) -> dict[str, str | None]:
    """Make a call from outside that nobody answered."""
    return call(
        start,
        uniqueid,
        **{
            "linkedid": uniqueid,
            "userfield": "[inbound]",
            "disposition": "NO ANSWER",
            "dstchannel": "SIP/301-1",
        }
        | fields,
    )


@pytest.fixture
def provider() -> Provider:
    return Provider()


def lines(text: str) -> list[str]:
    return text.splitlines()[1:]


async def answered(client: BoxisClient) -> str:
    """Ask who called today, and give the answer as Telegram gets it."""
    text: str = telegram_chat.message(*await bot.who_called_today(client))
    return text


async def test_who_called_today(client: BoxisClient, provider: Provider) -> None:
    """The answer tells each call from outside once, and which of them nobody answered."""
    provider.add(
        inbound("2026-09-30 23:59:59", "yesterday"),
        inbound("2026-10-01 08:00:00", "queue"),
        inbound("2026-10-01 08:00:10", "queue", sequence="2", disposition="ANSWERED"),
        inbound("2026-10-01 08:00:10", "queue", sequence="3"),
        call("2026-10-01 08:30:00", "ours", userfield="[outbound]"),
        inbound("2026-10-01 09:00:00", "missed"),
    )
    with time_machine.travel(NOON):
        text = await answered(client)
    assert text.splitlines() == [
        "Calls of 2026-10-01: 2",
        "08:00  0041445550123  Anna Meier",
        "09:00  0041445550123  Anna Meier  missed",
    ]


async def test_nobody_called(client: BoxisClient) -> None:
    """A day without calls is told as such."""
    with time_machine.travel(NOON):
        assert await answered(client) == "Calls of 2026-10-01: none"


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        ("2026-10-25T22:59:00+00:00", ["00:00:00", "02:30:00", "02:30:01", "23:58:00"]),
        ("2026-03-29T21:59:00+00:00", ["00:00:00", "01:59:59", "03:00:00", "23:58:00"]),
        ("2026-07-01T21:59:00+00:00", ["00:00:00", "23:58:00"]),
        ("2026-06-30T22:30:00+00:00", ["00:00:00", "00:29:00"]),
    ],
    ids=["25 hours", "23 hours", "24 hours", "already tomorrow"],
)
async def test_today_is_the_providers_day(
    client: BoxisClient, provider: Provider, now: str, starts: list[str]
) -> None:
    """Today runs from midnight to midnight on the provider's clock, however long it is."""
    moment = datetime.fromisoformat(now)
    today = moment.astimezone(ZURICH).date()
    provider.add(inbound(f"{today - timedelta(days=1)} 23:59:59", "yesterday"))
    provider.add(*(inbound(f"{today} {start}", start) for start in starts))
    with time_machine.travel(moment):
        text = await answered(client)
    assert [line[:5] for line in lines(text)] == [start[:5] for start in starts]


async def test_a_call_over_midnight_is_of_the_day_before(
    client: BoxisClient, provider: Provider
) -> None:
    """A call belongs to the day on which its first leg began."""
    provider.add(
        inbound("2026-09-30 23:59:50", "late"),
        inbound("2026-10-01 00:00:05", "late", sequence="2"),
    )
    with time_machine.travel(NOON):
        assert lines(await answered(client)) == []


async def test_a_caller_cannot_make_up_lines(client: BoxisClient, provider: Provider) -> None:
    """What a caller puts into a name stays one line of text, and a short one."""
    provider.add(inbound("2026-10-01 08:00:00", "1", clid=NASTY))
    provider.add(inbound("2026-10-01 08:01:00", "2", clid=f'"{"x" * 9000}" <{"1" * 9000}>'))
    provider.add(inbound("2026-10-01 08:02:00", "3", clid="", src=""))
    with time_machine.travel(NOON):
        first, second, third = lines(await answered(client))
    assert first == rf"08:00  0041445550199  {HARMLESS}  missed"
    assert len(second) < 150
    assert third == "08:02  missed"


@pytest.mark.parametrize("name", ["Anna Meier", "🦄" * 50, "x" * 60])
async def test_a_long_answer_is_cut(client: BoxisClient, provider: Provider, name: str) -> None:
    """An answer is never longer than Telegram takes, and tells how much of it is missing."""
    provider.add(
        *(
            inbound(f"2026-10-01 08:{number // 60:02}:{number % 60:02}", f"{number}", clid=name)
            for number in range(300)
        )
    )
    with time_machine.travel(NOON):
        text = await answered(client)
    title, *told, last = text.splitlines()
    assert title == "Calls of 2026-10-01: 300"
    assert last == f"… and {300 - len(told)} more"
    assert 3900 < len(text.encode("utf-16-le")) // 2 <= 4096


def test_what_just_fits_is_whole() -> None:
    """Nothing is cut where nothing has to be, and one character more is told."""
    message = telegram_chat.message
    assert message("x", "y" * 4094) == "x\n" + "y" * 4094
    assert message("x", "y" * 4095) == "x\n… and 1 more"
    assert message("x", "y" * 4000, "z" * 93) == f"x\n{'y' * 4000}\n{'z' * 93}"


def test_a_long_title_is_cut() -> None:
    """An error that says much is cut, and what follows it has its place."""
    assert telegram_chat.message("x" * 500, "y") == f"{'x' * 500}\ny"
    assert telegram_chat.message("x" * 9000, "y") == f"{'x' * 499}…\ny"


async def test_only_those_who_may_know_are_answered(
    client: BoxisClient, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger gets nothing, and asks the provider nothing; the log names the chat."""
    chat = Chat((THEIRS, "Who called today?"), (OURS, "hello"), (OURS, "WHO  CALLED today?"))
    with time_machine.travel(NOON):
        await bot.answer(client, chat, [OURS])
    assert chat.sent == ["Ask me: who called today?", "Calls of 2026-10-01: none"]
    assert str(THEIRS) in caplog.text
    assert len(provider.requests) == 1


async def test_an_answer_without_the_provider(client: BoxisClient, provider: Provider) -> None:
    """Where the provider fails, the answer says so, and the next question is answered."""
    provider.faults = [Fault.refuse("out of order")]
    chat = Chat(*[(OURS, "who called?")] * 2)
    with time_machine.travel(NOON):
        await bot.answer(client, chat, [OURS])
    assert chat.sent[0].startswith("I cannot fetch the calls: ")
    assert "out of order" in chat.sent[0]
    assert chat.sent[1:] == ["Calls of 2026-10-01: none"]


def post(
    provider: Provider,
    chat: Chat,
    position: Kept,
    *events: tuple[float, Callable[[], object]],
    since: datetime = NOON,
) -> None:
    """Let the bot watch from noon on, and let each event happen so many minutes later."""

    async def main() -> None:
        async with (
            connected(provider) as client,
            client.watch(position=position).calls() as changes,
            asyncio.TaskGroup() as tasks,
        ):
            posting = tasks.create_task(bot.post_missed(changes, chat, OURS))
            now = 0.0
            for minutes, event in (*events, (events[-1][0] + 120, posting.cancel)):
                await asyncio.sleep(60 * (minutes - now))
                event()
                now = minutes

    run_fast(since.timestamp(), main())


def test_each_missed_call_is_posted_once(provider: Provider) -> None:
    """Each call that nobody answered is posted once, over many looks and new beginnings.

    The first start posts nothing of before.
    """
    provider.add(
        inbound("2026-10-01 09:00:00", "before"),
        inbound("2026-10-01 11:30:00", "shortly before"),
    )
    chat, position = Chat(), Kept()
    later = (
        inbound("2026-10-01 12:10:00", "queue"),
        inbound("2026-10-01 12:10:10", "queue", sequence="2", disposition="ANSWERED"),
        call("2026-10-01 12:10:20", "ours", userfield="[outbound]", disposition="BUSY"),
        inbound("2026-10-01 12:11:00", "two legs"),
        inbound("2026-10-01 12:11:00", "two legs", sequence="2"),
    )
    post(provider, chat, position, (12, lambda: provider.add(*later)))
    assert chat.sent == ["Missed call\n2026-10-01 12:11  0041445550123  Anna Meier"]
    while_off = inbound("2026-10-01 15:00:00", "while it was off")
    restart = NOON + timedelta(hours=5)
    post(provider, chat, position, (0, lambda: provider.add(while_off)), since=restart)
    post(provider, chat, position, (0, lambda: None), since=restart + timedelta(hours=3))
    assert [lines(text)[0][11:16] for text in chat.sent] == ["12:11", "15:00"]


def test_a_call_that_is_not_over_is_no_missed_call(provider: Provider) -> None:
    """A call that rang out a moment ago may still be answered: it is not posted yet."""
    chat = Chat()
    rings = (inbound("2026-10-01 12:01:00", "answered"), inbound("2026-10-01 12:02:00", "not"))
    taken = inbound("2026-10-01 12:02:10", "answered", sequence="2", disposition="ANSWERED")
    post(
        provider,
        chat,
        Kept(),
        (3, lambda: provider.add(*rings)),
        (4, lambda: provider.add(taken)),
    )
    assert [lines(text)[0][:16] for text in chat.sent] == ["2026-10-01 12:02"]


def test_a_call_that_was_taken_after_all(provider: Provider) -> None:
    """A post that was wrong is followed up, after a new beginning too."""
    chat, position = Chat(), Kept()
    rings = inbound("2026-10-01 12:01:00", "long")
    post(provider, chat, position, (3, lambda: provider.add(rings)))
    assert [text.splitlines()[0] for text in chat.sent] == ["Missed call"]
    taken = call(
        "2026-10-01 12:01:20",
        "long",
        linkedid="long",
        sequence="2",
        userfield="[inbound]",
        dstchannel="SIP/302-1",
        end="2026-10-01 14:40:00",
    )
    restart = NOON + timedelta(hours=3)
    post(provider, chat, position, (0, lambda: provider.add(taken)), since=restart)
    assert len(chat.sent) == 2
    assert chat.sent[1].splitlines()[0] == "Taken after all, by 302"
    assert lines(chat.sent[1]) == lines(chat.sent[0])


def test_a_post_that_failed_is_tried_again(provider: Provider) -> None:
    """Only what was sent counts as posted."""
    chat, position = Chat(), Kept()
    chat.is_broken = True
    missed = inbound("2026-10-01 12:01:00", "missed")
    post(provider, chat, position, (2, lambda: provider.add(missed)))
    assert chat.sent == []
    chat.is_broken = False
    post(provider, chat, position, (0, lambda: None), since=NOON + timedelta(hours=3))
    assert len(chat.sent) == 1


def test_an_outage_loses_no_call(provider: Provider) -> None:
    """What the provider wrote while nobody could read it is posted when it can be read again."""
    chat = Chat()

    def fail() -> None:
        provider.faults = lambda _: Fault.status(503)
        provider.add(inbound("2026-10-01 12:05:00", "missed"))

    def mend() -> None:
        provider.faults = []

    post(provider, chat, Kept(), (4, fail), (64, mend))
    assert [lines(text)[0][11:16] for text in chat.sent] == ["12:05"]


@pytest.fixture
def ran_before(provider: Provider, tmp_path: Path) -> Path:
    """Be the position of a bot that ran until some hours before noon."""
    kept, path = Kept(), tmp_path / "position.json"
    post(provider, Chat(), kept, (0, lambda: None), since=NOON - timedelta(hours=4))
    assert kept.text is not None
    path.write_text(kept.text, "utf-8")
    return path


async def test_on_telegram(
    server: LoopbackServer,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    ran_before: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Started as its docstring says, it posts and answers over Telegram's own library."""
    provider.add(inbound("2026-10-01 11:00:00", "missed", clid=NASTY))
    environment = {
        **ServedProvider(server.mount(provider), provider).environment,
        "TELEGRAM_TOKEN": "123:stand-in-token",
        "TELEGRAM_CHATS": f"{OURS},-5",
        "BOT_STATE": str(ran_before),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    telegram = TelegramByHand()
    monkeypatch.setattr(bot, "Telegram", partial(bot.Telegram, request=telegram))
    with time_machine.travel(NOON):
        running = asyncio.create_task(bot.main())
        await settled(lambda: len(telegram.sent) == 1)
        telegram.say(7, THEIRS, "Who called today?")
        telegram.say(8, OURS, None)
        telegram.say(9, -5, "Who called today?")
        await settled(lambda: len(telegram.sent) == 2)
        running.cancel()
        await asyncio.wait([running])
    server.unmount(provider)
    posted, reply = telegram.sent
    assert posted == {
        "chat_id": OURS,
        "text": f"Missed call\n2026-10-01 11:00  0041445550199  {HARMLESS}",
        "link_preview_options": {"is_disabled": True},
    }
    assert reply["chat_id"] == -5
    assert reply["text"].startswith("Calls of 2026-10-01: 1\n11:00  0041445550199  <b>")
    assert "parse_mode" not in reply
    assert telegram.offsets == [None, 8, 9, 10]
    assert "stand-in-token" not in caplog.text


async def test_telegram_that_fails(
    client: BoxisClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure of Telegram's costs the message that it hit, and no other."""
    monkeypatch.setenv("TELEGRAM_TOKEN", "123:stand-in-token")
    telegram = TelegramByHand()
    telegram.faults = ["getUpdates", "sendMessage"]
    telegram.say(1, OURS, "hello")
    telegram.say(2, OURS, "hello?")
    async with bot.Telegram(pause=0, request=telegram) as chat:
        answering = asyncio.create_task(bot.answer(client, chat, [OURS]))
        await settled(lambda: len(telegram.sent) == 1)
        answering.cancel()
        await asyncio.wait([answering])
    assert telegram.sent[0]["text"] == "Ask me: who called today?"
    assert telegram.offsets == [None, 2, 3]
    assert "cannot receive messages" in caplog.text
    assert "cannot send a message" in caplog.text


async def test_without_a_token(
    monkeypatch: pytest.MonkeyPatch, server: LoopbackServer, provider: Provider
) -> None:
    """Started without Telegram's token, it says what to do, and asks the provider nothing."""
    for name, value in ServedProvider(server.mount(provider), provider).environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TELEGRAM_TOKEN", raising=False)
    with pytest.raises(SystemExit, match="set TELEGRAM_TOKEN"):
        await bot.main()
    server.unmount(provider)
    assert provider.requests == []
