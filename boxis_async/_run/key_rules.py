"""Key rules and their keys as texts that every process writes alike.

A coverage and an export are resumed by another process. It has to find that it has the same rule,
and to recognise the keys that an earlier one noted. Much of what Python writes of a value differs
from one process to the next: the order of a set, an address in memory; and of a function, the file
and the lines where its source stands. So nothing of that is in these texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import is_dataclass
from enum import Enum
from functools import cache, partial
from operator import attrgetter, itemgetter, methodcaller
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from boxis_async.types import UniqueBy

__all__ = ["key_text", "rule_text"]

# Their reprs say all that they are, in any process. By their names, as `zoneinfo` and `uuid` are
# imported for this alone: with them, importing this package would take a twentieth longer.
_PLAIN = frozenset({
    *(f"builtins.{name}" for name in (
        "str", "bytes", "bool", "int", "float", "complex", "range", "NoneType", "ellipsis"
    )),
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    "decimal.Decimal", "uuid.UUID", "zoneinfo.ZoneInfo",
})  # fmt: skip
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CACHED = type(cache(len))


def key_text(key: Hashable) -> str:
    """Write a key that a function gave: its repr, but with the items of sets in order."""
    if isinstance(key, AbstractSet):
        return f"{{{', '.join(sorted(map(key_text, key)))}}}"
    if type(key) is tuple:
        items = cast("tuple[Hashable, ...]", key)
        return f"({', '.join(map(key_text, items))}{',' if len(items) == 1 else ''})"
    return repr(key)


def rule_text(rule: UniqueBy) -> str:
    """Write a key rule: a function by its name, and by what it does.

    That is its code with its constants, its defaults, and the values that it has from an enclosing
    function; of a method or a callable object, also what the object's repr is made of. What it
    calls, and what it finds in its module, is written by name alone. So is an object of any other
    class, as nobody knows what of it matters.
    """
    if isinstance(rule, str):
        return rule
    call = getattr(type(rule), "__call__", None)  # noqa: B004 - its code is wanted
    # An object that is called is the method that is then called.
    return _text(MethodType(call, rule) if isinstance(call, FunctionType) else rule, ())


def _text(value: object, outer: tuple[object, ...]) -> str:
    """Write a value; `outer` is what it is a part of, as a function may contain itself."""
    if any(value is one for one in outer):
        return "itself"
    name = _name(cast("object", type(value)))
    if name in _PLAIN:
        return f"{type(value).__name__} {value!r}"
    inside = (*outer, value)
    for kind, parts_of in _PARTS.items():
        if isinstance(value, kind):
            texts = [_text(part, inside) for part in parts_of(value)]
            if kind in (AbstractSet, Mapping):
                texts.sort()
            return f"{name} ({', '.join(texts)})"
    return _name(value) if hasattr(value, "__qualname__") else name


def _parts_of_function(function: FunctionType) -> Iterable[object]:
    # A docstring does nothing: whoever edits it has the same function.
    docstring = function.__doc__
    constants = [None if one == docstring else one for one in function.__code__.co_consts]
    yield from (_name(function), *_body(function.__code__), constants)
    yield from (function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it has no value yet
            yield cell.cell_contents


def _body(code: CodeType) -> Iterable[object]:
    # The names that it uses are in it, not those of its own variables, its file and its lines.
    return code.co_code, code.co_exceptiontable, code.co_names


def _parts_of_method(method: MethodType) -> Iterable[object]:
    owner: Any = method.__self__
    kind = cast("Any", type(owner))
    yield from (method.__func__, _name(kind))
    if kind.__repr__ is object.__repr__:
        # It may count, or hold what was opened: nobody said what makes it the same.
        return
    if attrs.has(kind) or is_dataclass(kind):
        with suppress(TypeError):  # it refuses to be pickled
            yield owner.__getstate__()
    else:
        yield _ADDRESS.sub("", repr(owner))


_PARTS: dict[Any, Callable[[Any], Iterable[object]]] = {
    Enum: lambda member: (member.name,),
    tuple: lambda items: items,
    list: lambda items: items,
    AbstractSet: lambda items: items,
    Mapping: lambda mapping: mapping.items(),
    re.Pattern: lambda pattern: (pattern.pattern, pattern.flags),
    CodeType: lambda code: (*_body(code), code.co_consts),
    FunctionType: _parts_of_function,
    MethodType: _parts_of_method,
    _CACHED: lambda cached: (cached.__wrapped__,),
    partial: lambda call: (call.func, call.args, call.keywords),
    attrgetter: lambda getter: getter.__reduce__(),
    itemgetter: lambda getter: getter.__reduce__(),
    methodcaller: lambda caller: caller.__reduce__(),
}
"""What is written of a value of each kind, in order; sets and mappings have no order."""


def _name(value: object) -> str:
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
