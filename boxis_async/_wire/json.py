"""Answers in JSON → plain dicts: complete and well formed, or an error, never a half."""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from boxis_async.errors import MalformedAnswerError

from .cooperative import at_once
from .json_chunks import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cooperative import Build, ReadRecords, Steps

__all__ = ["LONE_SURROGATE", "faster", "json_in_steps", "read_json"]

logger = logging.getLogger("boxis_async")

# Patterns are texts, so that `re` compiles them when first needed: most never are.
_LONG_NUMBER = r"[0-9]{6,}"
_ENVELOPE_BEGINS = r'(?a)\{\s*"(?:result|resulttxt|params|timestamp|timestamperror)"\s*:'
LONE_SURROGATE = r"[\ud800-\udfff]"
"""Half a character: it can be spelt in JSON or stand in `os.environ`, and cannot be sent."""
# Both halves of one character, or the beginning of what may be one half alone.
_SURROGATES = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD]"
_PAIR_LENGTH = len(r"\ud83d\ude00")

# A notice is short; searching a megabyte of it for an answer would only burn time.
_NOTICE_LENGTH = 64 * 1024
_NOTICE_CANDIDATES = 64
_NOTICE_OBJECT_LENGTH = 4096


def read_json(body: bytes, *, as_text: bool) -> dict[str, Any]:
    """Read a JSON answer at once; otherwise as `json_in_steps`."""
    return at_once(json_in_steps(body, as_text=as_text))


def json_in_steps(
    body: bytes,
    *,
    as_text: bool,
    build: Build | None = None,
) -> Steps[dict[str, Any]]:
    """Read a JSON answer, past what PHP printed before it, which is logged.

    Args:
        body: The whole body; bytes that are not UTF-8 become replacement characters.
        as_text: Whether to give numbers as the text that stands on the wire.
        build: Builds something of some records after the other, where these stand as usual. It
            refuses numbers that are no texts: orjson reads for it, where it is installed.

    Raises:
        MalformedAnswerError: It is not one complete, well-formed object, a key comes twice in
            it, or it says NaN.
    """
    text = body.decode("utf-8", "replace")
    begin = len(text) - len(text.lstrip())
    if not text.startswith("{", begin):
        begin = yield from _after_notice(text, _Decoder(as_text=as_text))
    # In the whole text they are found ten times as fast as in pieces of it.
    may_be_halves = "\\ud" in text or "\\uD" in text
    decoder = (_ReplacingDecoder if may_be_halves else _Decoder)(as_text=as_text)
    read_records = None if build is None else faster()
    problem = None
    try:
        answer, end = yield from walk(text, begin, decoder, build, read_records)
    except (ValueError, RecursionError) as error:
        # Not raised from here: json's error holds the whole document, and would be kept with it.
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
            parse_constant=_not_a_number,
            parse_int=str if as_text else None,
            parse_float=str if as_text else None,
        )


class _ReplacingDecoder(_Decoder):
    """Decodes likewise, and puts replacement characters where halves of characters stand."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        value, end = super().raw_decode(s, idx)
        if _may_hold_lone_surrogates(s, idx, end):
            value = _without_lone_surrogates(value)
        return value, end


@cache
def faster() -> ReadRecords | None:
    """Give what reads records faster than json does, if it is installed (extra `fast`)."""
    try:
        from .json_orjson import read_records  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return None
    return read_records


def _excerpt(text: str) -> str:
    """Show how a body begins, without what could be a telephone number: errors get logged."""
    return repr(re.sub(_LONG_NUMBER, "…", text.strip()[:80]))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Keeping the last of two would lose a record, or mix two into one.
        raise ValueError("a key comes twice in one object")
    return found


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _after_notice(text: str, decoder: json.JSONDecoder) -> Steps[int]:
    """Find where the answer begins behind what PHP printed before it."""
    begin = -1
    for _ in range(_NOTICE_CANDIDATES):
        begin = text.find("{", begin + 1, _NOTICE_LENGTH)
        if begin < 0:
            break
        try:
            answer, end = yield from walk(text, begin, decoder)
        except json.JSONDecodeError as error:
            begins_as_one = re.compile(_ENVELOPE_BEGINS).match(text, begin)
            if begins_as_one or error.pos - begin > _NOTICE_OBJECT_LENGTH:
                break  # no part of a notice: this was the answer, and is broken
            continue
        except (ValueError, RecursionError):
            break
        if "result" in answer:
            if text[end:].strip():
                raise MalformedAnswerError("the answer goes on after the end of its JSON")
            logger.warning("%d characters stand before the answer; they are read past", begin)
            return begin
    raise MalformedAnswerError(f"the answer is not JSON, it begins {_excerpt(text)}")


def _may_hold_lone_surrogates(text: str, begin: int, end: int) -> bool:
    """Tell whether half a character may be spelt there; most of what looks so is a whole one."""
    for found in re.compile(_SURROGATES).finditer(text, begin, end):
        # Behind a further backslash it may be no escape at all.
        if len(found[0]) < _PAIR_LENGTH or text[found.start() - 1] == "\\":
            return True
    return False


def _without_lone_surrogates(value: Any) -> Any:  # noqa: ANN401
    """Replace halves of characters, which JSON's escapes can spell and UTF-8 cannot."""
    if isinstance(value, str):
        return re.sub(LONE_SURROGATE, "�", value)
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
