"""An answer in JSON → plain dicts: complete and well formed, or an error, never a half.

What PHP printed before the answer, such as a notice, is skipped and logged. Everything else that
is not one well-formed object is an error: a key that comes twice, NaN, text behind the end.
"""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json_chunks import read_object
from boxis_async.errors import MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async._wire.cooperative import Chunks
    from boxis_async._wire.json_chunks import ReadRows

__all__ = ["LONE_SURROGATE", "fast_reader", "json_in_chunks", "read_json"]

logger = logging.getLogger("boxis_async")

_LONG_NUMBER = re.compile(r"[0-9]{6,}")
_ENVELOPE_BEGINS = re.compile(
    r'(?a)\{\s*"(?:result|resulttxt|params|timestamp|timestamperror)"\s*:'
)
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half a character: JSON's escapes and `os.environ` can hold one, and UTF-8 cannot."""
# Both halves of one character, or the beginning of what may be one half alone.
_ESCAPED_SURROGATES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD]"
)
_PAIR_LENGTH = len(r"\ud83d\ude00")

# A notice is short. To search a megabyte of other text for an answer would only take time.
_NOTICE_LENGTH = 64 * 1024
_NOTICE_CANDIDATES = 64
_NOTICE_OBJECT_LENGTH = 4096


def read_json(body: bytes, *, as_text: bool) -> dict[str, Any]:
    """Read a JSON answer at once; otherwise as `json_in_chunks`."""
    return at_once(json_in_chunks(body, as_text=as_text))


def json_in_chunks(body: bytes, *, as_text: bool, chunked: bool = False) -> Chunks[dict[str, Any]]:
    """Read a JSON answer.

    Args:
        body: The whole body; bytes that are not UTF-8 become replacement characters.
        as_text: Whether to give numbers as the text that stands on the wire.
        chunked: Whether to hand over the records chunk by chunk, see `read_object`. orjson reads
            them where it is installed; it may give a number as a number then, which whoever
            converts the rows has to refuse.

    Raises:
        MalformedAnswerError: It is not one complete, well-formed object, a key comes twice in
            it, or it has a NaN.
    """
    text = body.decode("utf-8", "replace")
    begin = len(text) - len(text.lstrip())
    if not text.startswith("{", begin):
        begin = yield from _after_notice(text, _Decoder(as_text=as_text))
    # `in` over the whole text takes a tenth of the time that it takes chunk by chunk.
    may_be_surrogates = "\\ud" in text or "\\uD" in text
    decoder = (_ReplacingDecoder if may_be_surrogates else _Decoder)(as_text=as_text)
    read_rows = fast_reader() if chunked else None
    problem = None
    try:
        answer, end = yield from read_object(text, begin, decoder, read_rows, chunked=chunked)
    except (ValueError, RecursionError) as error:
        # Raised below, not from here: json's error refers to the whole document, and errors are
        # kept for as long as a stream has failures.
        answer, end, problem = None, 0, str(error)
    if problem is not None:
        raise MalformedAnswerError(f"the answer is not complete, valid JSON: {problem}")
    if text[end:].strip():
        raise MalformedAnswerError("the answer goes on after the end of its JSON")
    return cast("dict[str, Any]", answer)


class _Decoder(json.JSONDecoder):
    """Decodes what is JSON by its standard, no key twice in an object."""

    def __init__(self, *, as_text: bool) -> None:
        super().__init__(
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=str if as_text else None,
            parse_float=str if as_text else None,
        )


class _ReplacingDecoder(_Decoder):
    """Decodes likewise, with replacement characters for halves of characters."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        value, end = super().raw_decode(s, idx)
        if _may_hold_lone_surrogates(s, idx, end):
            value = _without_lone_surrogates(value)
        return value, end


@cache
def fast_reader() -> ReadRows | None:
    """Give what reads rows faster than json does, if it is installed (extra `fast`)."""
    try:
        from boxis_async._wire.json_orjson import (  # noqa: PLC0415 - an optional dependency
            read_rows,
        )
    except ImportError:
        return None
    return read_rows


def _excerpt(text: str) -> str:
    """Show how a body begins, without what could be a telephone number: errors get logged."""
    return repr(_LONG_NUMBER.sub("…", text.strip()[:80]))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # To keep the last of two would lose a record, or mix two into one.
        raise ValueError("a key comes twice in one object")
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _after_notice(text: str, decoder: json.JSONDecoder) -> Chunks[int]:
    """Find where the answer begins behind what PHP printed before it."""
    begin = -1
    for _ in range(_NOTICE_CANDIDATES):
        begin = text.find("{", begin + 1, _NOTICE_LENGTH)
        if begin < 0:
            break
        try:
            answer, end = yield from read_object(text, begin, decoder)
        except json.JSONDecodeError as error:
            begins_as_one = _ENVELOPE_BEGINS.match(text, begin)
            if begins_as_one or error.pos - begin > _NOTICE_OBJECT_LENGTH:
                break  # no part of a notice: this was the answer, and is broken
            continue
        except (ValueError, RecursionError):
            break
        if "result" in answer:
            if text[end:].strip():
                raise MalformedAnswerError("the answer goes on after the end of its JSON")
            logger.warning("%d characters stand before the answer; they are skipped", begin)
            return begin
    raise MalformedAnswerError(f"the answer is not JSON, it begins {_excerpt(text)}")


def _may_hold_lone_surrogates(text: str, begin: int, end: int) -> bool:
    """Report whether half a character may be escaped there; most of what looks so is a whole."""
    for found in _ESCAPED_SURROGATES.finditer(text, begin, end):
        # Behind a further backslash it may be no escape at all.
        if len(found[0]) < _PAIR_LENGTH or text[found.start() - 1] == "\\":
            return True
    return False


def _without_lone_surrogates(value: Any) -> Any:  # noqa: ANN401
    """Replace halves of characters, which JSON's escapes can spell and UTF-8 cannot."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("�", value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return _object(
            [
                (_without_lone_surrogates(name), _without_lone_surrogates(field))
                for name, field in fields.items()
            ]
        )
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in cast("Sequence[Any]", value)]
    return value
