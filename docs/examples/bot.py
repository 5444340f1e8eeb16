"""A chat bot that answers "who called today?", and posts the calls that were missed.

Let Telegram's @BotFather make a bot for you. Then name the tenant and the chats:

    pip install python-telegram-bot    # for telegram_chat.py, which lies beside this file
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    export TELEGRAM_TOKEN=... TELEGRAM_CHATS=123456,-987654
    python bot.py

TELEGRAM_CHATS lists the chats that get answers; the first one also gets the missed calls. To find
out the number of a chat, leave the variable out, write to the bot, and see what the bot prints.
Set BOXIS_BASE_URL if the API is not at the provider's own address. BOT_STATE names the file that
records what was posted, by default `bot_posted.db`.
"""

import asyncio
import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from telegram_chat import Telegram

from boxis_async import BoxisClient, BoxisError, Call, Direction

ZONE = ZoneInfo("Europe/Zurich")  # the provider's zone, which is the client's default
LOOK_BACK = timedelta(days=1)  # how far back each look goes: an outage may last as long
QUIET = timedelta(minutes=5)  # how long a call must be over: somebody may still answer it
MOST = 4096  # characters in a message, the limit of Telegram

logger = logging.getLogger("bot")


class Chat(Protocol):
    """What the bot needs from a chat service."""

    def receive(self) -> AsyncIterator[tuple[int, str]]:
        """Iterate, for ever, over what the bot gets: the number of the chat, and the text."""
        ...

    async def send(self, chat_id: int, text: str) -> bool:
        """Send a text that is not markup, and return whether that worked."""
        ...


async def calls_since(client: BoxisClient, since: datetime) -> list[Call]:
    """Return the inbound calls since a moment, in order of time."""
    calls = await client.calls(since)
    return [call for call in calls if call.direction is Direction.INBOUND]


def shown(text: str, most: int = 60) -> str:
    """Make one short line of a text, because a caller may have chosen it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def summary(call: Call, form: str) -> str:
    """Say when a call started, and who called."""
    return f"{call.start:{form}}  {shown(call.caller_number)}  {shown(call.caller_name)}".rstrip()


def message(title: str, lines: Sequence[str] = ()) -> str:
    """Join lines to a text that fits into a message, and say how many were left out."""
    text = shown(title, 500)
    for at, line in enumerate(lines, 1):
        left = len(lines) - at
        rest = f"\n… and {left} more" if left else ""
        # Count in UTF-16, so that the text fits however the service counts characters.
        if len(f"{text}\n{line}{rest}".encode("utf-16-le")) > 2 * MOST:
            return f"{text}\n… and {left + 1} more"
        text += f"\n{line}"
    return text


async def who_called_today(client: BoxisClient) -> str:
    """Say who called since midnight, by the provider's wall clock."""
    midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        calls = await calls_since(client, midnight)
    except BoxisError as error:
        return message(f"I cannot fetch the calls: {error}")
    lines = [summary(call, "%H:%M") + "  missed" * call.missed for call in calls]
    return message(f"Calls of {midnight:%Y-%m-%d}: {len(lines) or 'none'}", lines)


async def answer(client: BoxisClient, chat: Chat, chats: Sequence[int]) -> None:
    """Answer the chats that may know, for ever."""
    async for chat_id, text in chat.receive():
        if chat_id not in chats:
            logger.warning("chat %d is not in TELEGRAM_CHATS: it gets no answer", chat_id)
        elif re.search(r"who\s+called", text, re.IGNORECASE):
            await chat.send(chat_id, await who_called_today(client))
        else:
            await chat.send(chat_id, "Ask me: who called today?")


async def post_missed(
    client: BoxisClient, chat: Chat, chat_id: int, state: sqlite3.Connection
) -> None:
    """Post each recent missed call, unless the state says that it was posted."""
    now = datetime.now(UTC)
    calls = await calls_since(client, now - LOOK_BACK)
    state.execute("CREATE TABLE IF NOT EXISTS posted (call TEXT PRIMARY KEY, start REAL)")
    posted = {call for (call,) in state.execute("SELECT call FROM posted")}
    new = {
        call.id or f"{call.start}": call
        for call in calls
        if call.missed and (call.end or call.start) <= now - QUIET
    }
    for known in posted & new.keys():
        del new[known]
    lines = [summary(call, "%Y-%m-%d %H:%M") for call in new.values()]
    if new and await chat.send(chat_id, message(f"Missed calls: {len(new)}", lines)):
        with state:
            starts = [(name, call.start.timestamp()) for name, call in new.items()]
            state.executemany("INSERT INTO posted VALUES (?, ?)", starts)
            # Forget what is too old to be fetched again.
            oldest = (now - LOOK_BACK).timestamp()
            state.execute("DELETE FROM posted WHERE start < ?", (oldest,))


async def watch(
    client: BoxisClient, chat: Chat, chat_id: int, state: sqlite3.Connection, every: float
) -> None:
    """Post missed calls, for ever; when the provider fails, report it once."""
    is_reported = False
    while True:
        try:
            await post_missed(client, chat, chat_id, state)
            is_reported = False
        except BoxisError as error:
            logger.warning("cannot fetch the calls: %s", error)
            report = message(f"I cannot fetch the calls: {error}")
            is_reported = is_reported or await chat.send(chat_id, report)
        await asyncio.sleep(every)


async def run(client: BoxisClient, chat: Chat, *, every: float = 60) -> None:
    """Answer and watch, for ever."""
    chats = [int(chat_id) for chat_id in os.environ.get("TELEGRAM_CHATS", "").split(",") if chat_id]
    state = sqlite3.connect(os.environ.get("BOT_STATE", "bot_posted.db"))
    with contextlib.closing(state):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer(client, chat, chats))
            for chat_id in chats[:1]:
                tasks.create_task(watch(client, chat, chat_id, state, every))


async def main() -> None:
    """Run the bot with the settings from the environment."""
    if not os.environ.get("TELEGRAM_TOKEN"):
        raise SystemExit("set TELEGRAM_TOKEN: Telegram's @BotFather gives you one")
    async with BoxisClient() as client, Telegram(pause=5) as chat:
        await run(client, chat)


if __name__ == "__main__":
    # Log warnings only: at lower levels the HTTP library logs addresses that contain the token.
    logging.basicConfig(level=logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
