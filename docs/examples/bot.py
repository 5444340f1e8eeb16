"""A chat bot that answers "who called today?", and posts the calls that were missed.

Let Telegram's @BotFather make a bot for you. Then name the tenant and the chats:

    pip install python-telegram-bot    # for telegram_chat.py, which lies beside this file
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    export TELEGRAM_TOKEN=... TELEGRAM_CHATS=123456,-987654
    python bot.py

TELEGRAM_CHATS lists the chats that get answers; the first one also gets the missed calls. To find
out the number of a chat, leave the variable out, write to the bot, and see what the bot prints.
Set BOXIS_BASE_URL if the API is not at the provider's own address. BOT_STATE names the file that
keeps what was posted, by default `bot_position.json`.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from telegram_chat import Telegram

from boxis_async import BoxisClient, BoxisError, Call, CallWatch, Direction, FilePosition

ZONE = ZoneInfo("Europe/Zurich")  # the provider's zone, which is the client's default
PAUSE = 10  # seconds until a message that the chat did not take is sent again
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
        # Whoever asks waits for the answer.
        calls = await client.with_options(deadline=30).calls(midnight)
    except BoxisError as error:
        return message(f"I cannot fetch the calls: {error}")
    lines = [
        summary(call, "%H:%M") + "  missed" * call.missed
        for call in calls
        if call.direction is Direction.INBOUND
    ]
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


async def post_missed(changes: CallWatch, chat: Chat, chat_id: int) -> None:
    """Post each missed call once, and once more if somebody took it after all."""
    async for change in changes:
        call, before = change.call, change.previous
        was_missed = before is not None and before.missed
        if call.missed == was_missed:
            continue
        title = "Missed call" if call.missed else f"Taken after all, by {call.answered_by}"
        text = message(title, [summary(call, "%Y-%m-%d %H:%M")])
        # Until the next change is requested, this one does not count as handled.
        while not await chat.send(chat_id, text):  # noqa: ASYNC110 - a failed message has no event
            await asyncio.sleep(PAUSE)


async def run(client: BoxisClient, chat: Chat) -> None:
    """Answer and watch, for ever."""
    chats = [int(chat_id) for chat_id in os.environ.get("TELEGRAM_CHATS", "").split(",") if chat_id]
    position = FilePosition(os.environ.get("BOT_STATE", "bot_position.json"))
    async with client.watch(position=position).calls() as changes, asyncio.TaskGroup() as tasks:
        tasks.create_task(answer(client, chat, chats))
        for chat_id in chats[:1]:
            tasks.create_task(post_missed(changes, chat, chat_id))


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
