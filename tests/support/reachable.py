"""All that an object leads to: what an error that somebody keeps keeps alive, or shows."""

from __future__ import annotations

import asyncio
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    BaseException: lambda error: [error.__cause__, error.__context__, error.__traceback__],
    types.TracebackType: lambda trace: [trace.tb_frame, trace.tb_next],
    types.FrameType: lambda frame: list(frame.f_locals.values()),
    types.CoroutineType: lambda coroutine: [coroutine.cr_frame],
    types.GeneratorType: lambda generator: [generator.gi_frame],
    types.MethodType: lambda method: [method.__self__, method.__func__],
    types.FunctionType: lambda function: [function.__defaults__, *(function.__closure__ or ())],
    types.CellType: lambda cell: [getattr(cell, "cell_contents", None)],
    Mapping: lambda mapping: [part for item in list(mapping.items()) for part in item],
    Collection: list,
}
"""What has no name of its own in an object, or one that Python gives it."""
_VALUES = (str, bytes, int, float, type, types.ModuleType, asyncio.AbstractEventLoop)


def reachable(root: object, *, without: tuple[object, ...] = ()) -> list[object]:
    """List all that an object leads to: attributes, items, closures, and the locals of all frames.

    The frames that are running are left out: those of the test itself, which has caught the error.

    Args:
        root: Where to begin.
        without: What is not looked into: objects of the test, and types of such.
    """
    running: list[object] = []
    frame: types.FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to it
    while frame is not None:
        running.append(frame)
        frame = frame.f_back
    left: deque[object] = deque([root])
    seen = {id(root), *map(id, without), *map(id, running)}
    kinds = tuple(kind for kind in without if isinstance(kind, type))
    # All are kept to the end, as the locals of a frame are a new dict each time.
    found: list[object] = []
    while left:
        found.append(left.popleft())
        for other in _children(found[-1]):
            if id(other) not in seen and not isinstance(other, kinds):
                seen.add(id(other))
                left.append(other)
    return found


def _children(found: object) -> Iterator[Any]:
    if found is None or isinstance(found, _VALUES):
        return
    for kind, parts in _PARTS.items():
        if isinstance(found, kind):
            yield from parts(found)
    yield getattr(found, "args", None)
    yield getattr(found, "__dict__", None)
    for kind in type(found).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            yield getattr(found, name, None)
