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

from boxis_async._wire.body_text import BodyText
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json_chunks import BeyondError, read_object
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


def json_in_chunks(
    body: bytes, *, begin: int = 0, as_text: bool, chunked: bool = False, named: bool = False
) -> Chunks[dict[str, Any]]:
    """Read a JSON answer.

    Args:
        body: The whole body; bytes that are not UTF-8 become replacement characters.
        begin: How many of its bytes are no part of the answer, such as a byte order mark.
        as_text: Whether to give numbers as the text that stands on the wire.
        chunked: Whether to hand over the records chunk by chunk, see `read_object`. Whoever
            converts the rows has to refuse half a character in them, and a number that is a number,
            which orjson gives where it is installed. Named ones have neither.
        named: Whether to hand over pairs, of a row's key and the row, all of them read by json.

    Raises:
        MalformedAnswerError: It is not one complete, well-formed object, a key comes twice in
            it, it has a NaN, or more values than an answer can have.
    """
    source = BodyText(body, begin=begin)
    yield from _skip_space(source)
    if not source.has(1):
        raise MalformedAnswerError("the answer is empty, though the request was accepted")
    decoder = _Decoder(as_text=as_text)
    skipped = 0
    if not source.text.startswith("{", source.at):
        skipped = yield from _after_notice(source, decoder)
    read_rows = fast_reader() if chunked and not named else None
    decode_rows = decoder.decode_rows if chunked and not named else None
    answer, problem = None, None
    try:
        answer = yield from read_object(
            source, decoder, read_rows, decode_rows=decode_rows, chunked=chunked, named=named
        )
    except (ValueError, RecursionError) as error:
        # Raised below, not from here: errors are kept for as long as a stream has failures, and
        # the frames of this one refer to what was read.
        is_beyond = isinstance(error, BeyondError)
        what = "the answer is refused" if is_beyond else "the answer is not complete, valid JSON"
        problem = f"{what}: {error}"
    if problem is not None:
        raise MalformedAnswerError(problem)
    yield from _skip_space(source)
    if source.has(1):
        raise MalformedAnswerError("the answer goes on after the end of its JSON")
    if skipped:
        logger.warning("%d characters stand before the answer; they are skipped", skipped)
    return cast("dict[str, Any]", answer)


class _Decoder(json.JSONDecoder):
    """Decodes what is JSON by its standard, no key twice in an object.

    Halves of characters, which JSON's escapes can spell and UTF-8 cannot, become replacement
    characters.
    """

    def __init__(self, *, as_text: bool) -> None:
        super().__init__(
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=str if as_text else None,
            parse_float=str if as_text else None,
        )

    def decode_rows(self, text: str, begin: int) -> tuple[Any, int]:
        """Decode likewise, and leave halves of characters to whoever converts the rows."""
        return super().raw_decode(text, begin)

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


def _skip_space(source: BodyText) -> Chunks[None]:
    """Skip white space, however much it is; more of it than JSON knows."""
    while source.has(1):
        rest = source.text[source.at :].lstrip()
        source.at = len(source.text) - len(rest)
        if rest:
            break
        source.skip()
        yield []


def _after_notice(source: BodyText, decoder: json.JSONDecoder) -> Chunks[int]:
    """Find where the answer begins behind what PHP printed before it.

    Returns:
        How many characters stand before it.
    """
    source.has(_NOTICE_LENGTH + 2 * _NOTICE_OBJECT_LENGTH)
    text, begin = source.text, source.at - 1
    for _ in range(_NOTICE_CANDIDATES):
        begin = text.find("{", begin + 1, source.at + _NOTICE_LENGTH)
        if begin < 0:
            break
        if _begins_answer(text, begin, decoder):
            skipped, source.at = begin - source.at, begin
            return skipped
        yield []
    raise MalformedAnswerError(f"the answer is not JSON, it begins {_excerpt(text[source.at :])}")


def _begins_answer(text: str, begin: int, decoder: json.JSONDecoder) -> bool:
    """Report whether an answer begins there, and not a part of a notice, which is short."""
    problems: list[tuple[str, int]] = []
    for length in (_NOTICE_OBJECT_LENGTH, 2 * _NOTICE_OBJECT_LENGTH):
        piece = text[begin : begin + length]
        try:
            found, _ = decoder.raw_decode(piece)
        except json.JSONDecodeError as error:
            problems.append((error.msg, error.pos))
        except (ValueError, RecursionError):
            # A notice holds nothing of the kind; what it is, the reading says.
            return True
        else:
            return length > _NOTICE_OBJECT_LENGTH or "result" in found
    # What is wrong at another place of a longer piece was only cut.
    was_cut = problems[0] != problems[1] or problems[0][0].startswith("Unterminated string")
    return was_cut or _ENVELOPE_BEGINS.match(text, begin) is not None


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
