"""Telegram as the chat of `bot.py`: the only file to replace for another chat service."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Self

from telegram import Bot, LinkPreviewOptions
from telegram.error import TelegramError
from telegram.request import BaseRequest

MOST = 4096  # characters in a message, the limit of Telegram
MOST_IN_TITLE = 500

logger = logging.getLogger("bot")


def message(title: str, *lines: str) -> str:
    """Join lines to one message, and say how many were left out."""
    text = title if len(title) <= MOST_IN_TITLE else f"{title[: MOST_IN_TITLE - 1]}…"
    for at, line in enumerate(lines, 1):
        left = len(lines) - at
        rest = f"\n… and {left} more" if left else ""
        # Telegram counts in UTF-16.
        if len(f"{text}\n{line}{rest}".encode("utf-16-le")) > 2 * MOST:
            return f"{text}\n… and {left + 1} more"
        text += f"\n{line}"
    return text


class Telegram:
    """The chats of the bot whose token is in TELEGRAM_TOKEN."""

    def __init__(self, *, pause: float = 5, request: BaseRequest | None = None) -> None:
        token = os.environ.get("TELEGRAM_TOKEN")
        if not token:
            raise SystemExit("set TELEGRAM_TOKEN: Telegram's @BotFather gives you one")
        self.bot = Bot(token, request=request, get_updates_request=request)
        self.pause = pause

    async def __aenter__(self) -> Self:
        await self.bot.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bot.shutdown()

    async def receive(self) -> AsyncIterator[tuple[int, str]]:
        """Iterate, for ever, over what the bot gets: the number of the chat, and the text."""
        offset = None
        while True:
            try:
                updates = await self.bot.get_updates(offset, timeout=30)
            except TelegramError as error:
                logger.warning("cannot receive messages from Telegram: %s", error)
                await asyncio.sleep(self.pause)
                continue
            for update in updates:
                # The next request sends this offset, so that Telegram does not send this one again.
                offset = update.update_id + 1
                if update.message is not None and update.message.text is not None:
                    yield update.message.chat_id, update.message.text

    async def send(self, chat_id: int, title: str, *lines: str) -> bool:
        """Send lines as one message, and return whether that worked.

        Without `parse_mode`: callers choose their names, so these must stay text.
        """
        plain = LinkPreviewOptions(is_disabled=True)
        try:
            await self.bot.send_message(chat_id, message(title, *lines), link_preview_options=plain)
        except TelegramError as error:
            logger.warning("cannot send a message to Telegram: %s", error)
            return False
        return True
