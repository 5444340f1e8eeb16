"""A chat bot that answers "who called today?", and posts the calls that were missed.

    pip install python-telegram-bot    # for telegram_chat.py, which lies beside this file
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    export TELEGRAM_TOKEN=... TELEGRAM_CHATS=123456,-987654
    python bot.py

Telegram's @BotFather gives you a token. TELEGRAM_CHATS lists the chats that get answers; the first
one also gets the missed calls. To find out the number of a chat, leave the variable out, write to
the bot, and see what it prints. BOT_STATE names the file that keeps what was posted.
"""

import asyncio
import contextlib
import logging
import os
import re
from datetime import datetime

from telegram_chat import Telegram

from boxis_async import BoxisClient, BoxisError, Call, CallWatch, Direction, FilePosition, printable

logger = logging.getLogger("bot")


def line(call: Call, form: str) -> str:
    """Say when a call started, and who called: a caller chooses his own name."""
    who = f"{call.caller_number:.30}  {call.caller_name:.60}"
    return printable(f"{call.start:{form}}  {who}".rstrip())


async def who_called_today(client: BoxisClient) -> list[str]:
    """Say who called since midnight, by the provider's wall clock."""
    today = datetime.now(client.timezone).date()
    try:
        calls = await client.with_options(deadline=30).calls(today)  # whoever asks waits for it
    except BoxisError as error:
        return [f"I cannot fetch the calls: {error}"]
    inbound = [call for call in calls if call.direction is Direction.INBOUND]
    lines = [line(call, "%H:%M") + "  missed" * call.missed for call in inbound]
    return [f"Calls of {today}: {len(lines) or 'none'}", *lines]


async def answer(client: BoxisClient, chat: Telegram, chats: list[int]) -> None:
    """Answer the chats that may know, for ever."""
    async for chat_id, text in chat.receive():
        if chat_id not in chats:
            logger.warning("chat %d is not in TELEGRAM_CHATS: it gets no answer", chat_id)
        elif re.search(r"who\s+called", text, re.IGNORECASE):
            await chat.send(chat_id, *await who_called_today(client))
        else:
            await chat.send(chat_id, "Ask me: who called today?")


async def post_missed(changes: CallWatch, chat: Telegram, chat_id: int) -> None:
    """Post each missed call once, and once more if somebody took it after all."""
    async for change in changes:
        call, before = change.call, change.previous
        if call.missed != (before is not None and before.missed):
            title = "Missed call" if call.missed else f"Taken after all, by {call.answered_by}"
            post = printable(title), line(call, "%Y-%m-%d %H:%M")
            # Until the next change is requested, this one does not count as handled.
            while not await chat.send(chat_id, *post):  # noqa: ASYNC110 - a failure has no event
                await asyncio.sleep(10)


async def main() -> None:
    """Answer and watch, with the settings from the environment."""
    chats = [int(number) for number in os.environ.get("TELEGRAM_CHATS", "").split(",") if number]
    position = FilePosition(os.environ.get("BOT_STATE", "bot_position.json"))
    async with BoxisClient() as client, Telegram() as chat:
        watch = client.watch(position=position).calls()
        async with watch as changes, asyncio.TaskGroup() as tasks:
            tasks.create_task(answer(client, chat, chats))
            for chat_id in chats[:1]:
                tasks.create_task(post_missed(changes, chat, chat_id))


if __name__ == "__main__":
    # Log warnings only: at lower levels the HTTP library logs addresses that contain the token.
    logging.basicConfig(level=logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
