"""The chart of the README: how cost grows with the number of waits, as an SVG that reads in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from bench.contenders import HEADLINE, PEERS
from bench.loop import Figures
from bench.results import SHOWN, SLOW, Results

WIDTH, HEIGHT = 860, 380
PANEL_WIDTH, PANEL_HEIGHT, TOP = 320, 240, 70
COLORS = {"dbt_cloud": "#d97706", "databricks": "#dc4f3f", "http": "#8b6fd6", HEADLINE: "#16a37b"}

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-size: 14px; font-weight: 600 }
.grid { stroke: #8c959f; stroke-opacity: .3 }
.line { fill: none; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) { text { fill: #9da7b1 } }
"""


@dataclass(frozen=True)
class Scale:
    """Logarithmic, from ``low`` to ``high``, over ``length`` from ``start`` (a negative length goes up)."""

    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + part * self.length

    def ticks(self) -> list[float]:
        exponents = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return [10.0**exponent for exponent in exponents]


def draw(results: Results) -> str:
    panels = [
        _panel(results, 60, "CPU seconds a minute", lambda figures: figures.cpu, 0.01),
        _panel(results, 490, "Requests a second to the vendor", lambda figures: figures.requests, 0.1),
    ]
    machine = results.machine
    foot = f"{SLOW:g} s between polls, net of an idle loop; {machine['processor']}, Python {machine['python']}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="What waiting costs, by the number of waits">\n<style>{STYLE}</style>\n'
        + "\n".join(panels)
        + f'\n{_legend()}\n<text x="{WIDTH - 50}" y="{HEIGHT - 12}" text-anchor="end">{escape(foot)}</text>\n</svg>\n'
    )


def _panel(results: Results, left: int, title: str, value: Callable[[Figures], float], least: float) -> str:
    lines = {
        name: sorted((each.load.waits, max(least, value(each))) for each in results.loop if _is_plain(each, name))
        for name in (*(peer.name for peer in PEERS), HEADLINE)
    }
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    most = max(number for _, number in points)
    across = Scale(min(waits for waits, _ in points), max(waits for waits, _ in points), left, PANEL_WIDTH)
    up = Scale(least, 10 ** math.ceil(math.log10(most)), TOP + PANEL_HEIGHT, -PANEL_HEIGHT)
    parts = [f'<text class="title" x="{left}" y="{TOP - 18}">{escape(title)}</text>']
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for waits in sorted({waits for waits, _ in points}):
        text = f'<text x="{across.at(waits):.1f}" y="{TOP + PANEL_HEIGHT + 20}" text-anchor="middle">{waits:,}</text>'
        parts.append(text)
    parts.append(f'<text x="{left + PANEL_WIDTH / 2}" y="{TOP + PANEL_HEIGHT + 38}" text-anchor="middle">waits</text>')
    for name, line in lines.items():
        path = " ".join(f"{across.at(waits):.1f},{up.at(number):.1f}" for waits, number in line)
        parts.append(f'<polyline class="line" stroke="{COLORS[name]}" points="{path}"/>')
        parts += [
            f'<circle cx="{across.at(waits):.1f}" cy="{up.at(number):.1f}" r="3.5" fill="{COLORS[name]}"/>'
            for waits, number in line
        ]
    return "\n".join(parts)


def _is_plain(figures: Figures, name: str) -> bool:
    load = figures.load
    return load.contender == name and load.interval == SLOW and load.connections == 1


def _legend() -> str:
    parts, x = [], 60
    for each in SHOWN:
        if each.name in COLORS:
            label = f"this provider ({each.label})" if each.is_ours else each.label
            parts.append(f'<circle cx="{x + 5}" cy="20" r="5" fill="{COLORS[each.name]}"/>')
            parts.append(f'<text x="{x + 16}" y="24">{escape(label)}</text>')
            x += 40 + 7 * len(label)
    return "\n".join(parts)
