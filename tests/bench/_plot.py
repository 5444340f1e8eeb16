"""Small plots for the docs, as SVG: points on two logarithmic axes, and what linear would be."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Panel", "draw"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 300, 220, 52, 14, 44, 30
_STYLE = (
    "text{font:12px sans-serif;fill:#555}.a{stroke:#999;fill:none}.g{stroke:#8884;fill:none}"
    ".l{stroke:#999;stroke-dasharray:4 4;fill:none}.m{stroke:#0a66c2;stroke-width:2;fill:none}"
    ".p{fill:#0a66c2}"
)


class Panel(NamedTuple):
    """What one plot shows: the names of its axes, and its points."""

    across: str
    up: str
    points: Sequence[tuple[float, float]]


def draw(path: Path, *panels: Panel) -> None:
    """Draw panels side by side; the dashed line is linear growth from the last point back."""
    step = _LEFT + _WIDTH + _GAP
    body = "".join(
        f'<g transform="translate({number * step + _LEFT},{_TOP})">{"".join(_panel(panel))}</g>'
        for number, panel in enumerate(panels)
    )
    size = f"0 0 {step * len(panels)} {_TOP + _HEIGHT + _BOTTOM}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><style>{_STYLE}</style>'
    path.write_text(f"{head}{body}</svg>\n", "utf-8")


def _panel(panel: Panel) -> Iterator[str]:
    xs, ys = ([log10(point[axis]) for point in panel.points] for axis in (0, 1))
    low_x, high_x = floor(min(xs)), ceil(max(xs))
    low_y, high_y = floor(min(ys)), ceil(max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            round(_WIDTH * (x - low_x) / (high_x - low_x), 1),
            round(_HEIGHT * (1 - (y - low_y) / max(1, high_y - low_y)), 1),
        )

    for x in range(low_x, high_x + 1):
        across, _ = at(x, low_y)
        yield f'<path class="g" d="M{across},0V{_HEIGHT}"/>'
        yield f'<text x="{across}" y="{_HEIGHT + 16}" text-anchor="middle">{10**x:,}</text>'
    for y in range(low_y, high_y + 1):
        _, up = at(low_x, y)
        yield f'<path class="g" d="M0,{up}H{_WIDTH}"/>'
        yield f'<text x="-6" y="{up + 4}" text-anchor="end">{10.0**y:g}</text>'
    yield f'<path class="a" d="M0,0V{_HEIGHT}H{_WIDTH}"/>'
    last = xs[-1], ys[-1]
    first_x = max(xs[0], last[0] - (last[1] - low_y))
    begin, end = at(first_x, last[1] - (last[0] - first_x)), at(*last)
    yield f'<path class="l" d="M{begin[0]},{begin[1]}L{end[0]},{end[1]}"/>'
    points = [at(x, y) for x, y in zip(xs, ys, strict=True)]
    line = "L".join(f"{across},{up}" for across, up in points)
    yield f'<path class="m" d="M{line}"/>'
    yield from (f'<circle class="p" cx="{across}" cy="{up}" r="3.5"/>' for across, up in points)
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 36}" text-anchor="middle">{panel.across}</text>'
    yield f'<text x="4" y="-2">{panel.up}</text>'
