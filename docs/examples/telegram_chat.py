"""Telegram as the chat of `bot.py`: the only file to replace for another chat service."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Self

from telegram import Bot, LinkPreviewOptions
from telegram.error import TelegramError
from telegram.request import BaseRequest

logger = logging.getLogger("bot")


class Telegram:
    """The chats of the bot whose token is in TELEGRAM_TOKEN."""

    def __init__(self, *, pause: float, request: BaseRequest | None = None) -> None:
        token = os.environ["TELEGRAM_TOKEN"]
        self.bot = Bot(token, request=request, get_updates_request=request)
        self.pause = pause

    async def __aenter__(self) -> Self:
        await self.bot.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bot.shutdown()

    async def receive(self) -> AsyncIterator[tuple[int, str]]:
        """Iterate over the texts that the bot gets, and continue after a failure."""
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

    async def send(self, chat_id: int, text: str) -> bool:
        """Send a text without `parse_mode`: callers choose their names, so these must stay text."""
        plain = LinkPreviewOptions(is_disabled=True)
        try:
            await self.bot.send_message(chat_id, text, link_preview_options=plain)
        except TelegramError as error:
            logger.warning("cannot send a message to Telegram: %s", error)
            return False
        return True
