"""Charts as SVG that stands in the page: bars, a heat map, shares, steps.

Positions across are in per cent, and sizes of letters in pixels: a chart takes the width that there
is, and its letters stay as large on a telephone. Colours are classes of the page's style, so that
they follow light, dark and print. A chart is an image with a name for screen readers, and a table
beside it has its figures.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

__all__ = ["HATCH", "Bar", "Drawing", "bars", "heat_map", "levels_of", "meter", "shares", "steps"]

_HEIGHT: Final = 230
_LABELS: Final = 26
_TICKS: Final = 4
_CELL: Final = 30
LEVELS: Final = 8
"""The shades of the heat map."""


class Drawing(str):
    """SVG or HTML that is escaped already, as Jinja reads it."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def _element(name: str, *inner: str, **attributes: object) -> Drawing:
    """Write an element; each attribute is escaped, and inner texts must be."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    within = "".join(inner)
    return Drawing(f"<{name}{given}>{within}</{name}>" if within else f"<{name}{given}/>")


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def _percent(part: float) -> str:
    return f"{_number(100 * part)}%"


HATCH: Final = Drawing(
    '<svg width="0" height="0" class="defs" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><path d="M0 0V6" class="hatch"/></pattern></defs></svg>'
)
"""The pattern of what is not known, once a page."""


@attrs.frozen
class Bar:
    """One bar of a chart."""

    label: str
    """Below it; may be empty."""
    minor: bool
    """Whether the label is left out where there is little room."""
    title: str
    """What a mouse that rests on it shows."""
    parts: Sequence[float]
    """From below."""
    is_known: bool = True


def bars(
    columns: Sequence[Bar], classes: Sequence[str], *, name: str, unit: str, text: str
) -> Drawing:
    """Draw stacked bars.

    Args:
        columns: The bars.
        classes: The class of each part.
        name: The start of the ids.
        unit: What the axis counts.
        text: What the chart shows, for screen readers.
    """
    top, ticks = axis_of(max((sum(bar.parts) for bar in columns), default=0))
    step = 1 / max(1, len(columns))
    inner = [_grid(top, ticks)]
    for at, bar in enumerate(columns):
        drawn: list[str] = []
        if not bar.is_known:
            drawn.append(
                _element(
                    "rect",
                    class_="unknown",
                    x=_percent(at * step),
                    y=0,
                    width=_percent(step),
                    height=_HEIGHT,
                    fill="url(#hatch)",
                )
            )
        level = 0.0
        for part, class_ in zip(bar.parts, classes, strict=True):
            height = _HEIGHT * part / top
            level += height
            drawn.append(
                _element(
                    "rect",
                    class_=class_,
                    x=_percent((at + 0.14) * step),
                    y=round(_HEIGHT - level, 2),
                    width=_percent(0.72 * step),
                    height=round(height, 2),
                )
            )
        drawn.append(_element("title", html.escape(bar.title)))
        inner.append(_element("g", *drawn, class_="bar"))
        if bar.label:
            inner.append(
                _element(
                    "text",
                    html.escape(bar.label),
                    class_="minor" if bar.minor else None,
                    x=_percent((at + 0.5) * step),
                    y=_HEIGHT + 18,
                    text_anchor="middle",
                )
            )
    return _image(inner, _HEIGHT + _LABELS, name, f"{text} ({unit})")


def steps(values: Sequence[int], labels: Mapping[float, str], *, name: str, text: str) -> Drawing:
    """Draw a line of steps, filled below.

    Args:
        values: The height of each step.
        labels: The labels below, by their places from 0 to 1.
        name: The start of the ids.
        text: What the chart shows, for screen readers.
    """
    top, ticks = axis_of(max(values, default=0))
    width = 1 / max(1, len(values))
    drawn = [
        _element(
            "rect",
            class_="step",
            x=_percent(at * width),
            y=round(_HEIGHT * (1 - value / top), 2),
            width=_percent(width),
            height=round(_HEIGHT * value / top, 2),
        )
        for at, value in enumerate(values)
        if value
    ]
    written = [
        _element(
            "text",
            html.escape(label),
            class_="minor" if number % 2 else None,
            x=_percent(place),
            y=_HEIGHT + 18,
            text_anchor="middle",
        )
        for number, (place, label) in enumerate(labels.items())
    ]
    return _image([_grid(top, ticks), *drawn, *written], _HEIGHT + _LABELS, name, text)


def levels_of(means: Sequence[float | None]) -> list[int | None]:
    """Give each cell of the heat map its shade, from 0 for none to `LEVELS`."""
    top = max((mean for mean in means if mean), default=0.0)
    return [
        None if mean is None else math.ceil(LEVELS * mean / top) if mean else 0 for mean in means
    ]


def heat_map(
    cells: Sequence[tuple[int | None, str, str]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    text: str,
) -> Drawing:
    """Draw cells in rows.

    Args:
        cells: Of each cell, row by row, its shade, what stands in it, and what a mouse shows.
        rows: The labels of the rows.
        columns: The labels of the columns.
        name: The start of the ids.
        text: What the chart shows, for screen readers.
    """
    width = 1 / len(columns)
    inner: list[str] = []
    for row, label in enumerate(rows):
        middle = row * _CELL + _CELL / 2 + 4
        inner.append(_element("text", html.escape(label), x=-8, y=middle, text_anchor="end"))
        for column in range(len(columns)):
            shade, value, title = cells[row * len(columns) + column]
            x = _percent(column * width)
            inner.append(
                _element(
                    "rect",
                    _element("title", html.escape(title)),
                    x=x,
                    y=row * _CELL,
                    width=_percent(width),
                    height=_CELL,
                    class_=f"cell q{shade}" if shade is not None else "cell unknown",
                    fill="url(#hatch)" if shade is None else None,
                )
            )
            inner.append(
                _element(
                    "text",
                    html.escape(value),
                    x=_percent((column + 0.5) * width),
                    y=middle,
                    text_anchor="middle",
                    class_=f"value v{shade or 0}",
                )
            )
    inner += [
        _element(
            "text",
            html.escape(label),
            x=_percent((at + 0.5) * width),
            y=len(rows) * _CELL + 18,
            text_anchor="middle",
            class_=("minor" if at % 3 else None),
        )
        for at, label in enumerate(columns)
    ]
    return _image(inner, len(rows) * _CELL + _LABELS, name, text)


def shares(rows: Sequence[tuple[str, float, str]], class_: str, *, name: str, text: str) -> Drawing:
    """Draw shares as bars that lie, each with its label above.

    Args:
        rows: Of each, its label, its share from 0 to 1, and how that is written.
        class_: The class of the bars.
        name: The start of the ids.
        text: What the chart shows, for screen readers.
    """
    inner: list[str] = []
    for at, (label, share, written) in enumerate(rows):
        y = at * 46
        inner += [
            _element("text", html.escape(label), x=0, y=y + 14),
            _element(
                "text", html.escape(written), x="100%", y=y + 14, text_anchor="end", class_="strong"
            ),
            _element("rect", class_="track", x=0, y=y + 21, width="100%", height=12, rx=3),
            _element("rect", class_=class_, x=0, y=y + 21, width=_percent(share), height=12, rx=3),
        ]
    return _image(inner, len(rows) * 46, name, text, class_="chart flush")


def meter(share: float, class_: str = "answered") -> Drawing:
    """Draw a small bar for a cell of a table, which has the figure too."""
    return _element(
        "svg",
        _element("rect", class_="track", width="100%", height=6, rx=3),
        _element("rect", class_=class_, width=_percent(share), height=6, rx=3),
        class_="meter",
        aria_hidden="true",
        height=6,
    )


def axis_of(most: float) -> tuple[float, list[float]]:
    """Give where an axis ends, and its ticks, at round numbers."""
    if most <= 0:
        return 1.0, [0.0, 1.0]
    step = 10 ** math.floor(math.log10(most / _TICKS))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor * _TICKS >= most)
    ticks = [step * at for at in range(math.ceil(most / step - 1e-9) + 1)]
    return ticks[-1], ticks


def _grid(top: float, ticks: Sequence[float]) -> Drawing:
    lines: list[str] = []
    for tick in ticks:
        y = round(_HEIGHT * (1 - tick / top), 2)
        lines += [
            _element("line", x1=0, x2="100%", y1=y, y2=y, class_="grid" if tick else "axis"),
            _element("text", _tick(tick), x=-8, y=y + 4, text_anchor="end"),
        ]
    return _element("g", *lines)


def _tick(tick: float) -> str:
    return f"{tick / 1000:g}k" if tick >= 10_000 else f"{tick:g}"  # noqa: PLR2004 - five figures


def _image(
    inner: Sequence[str],
    height: float,
    name: str,
    text: str,
    *,
    class_: str = "chart",
    **more: object,
) -> Drawing:
    return _element(
        "svg",
        _element("title", html.escape(text), id=f"{name}-title"),
        *inner,
        id=name,
        class_=class_,
        height=height,
        role="img",
        aria_labelledby=f"{name}-title",
        **more,
    )
