"""A trace as an SVG that a person can read: who went into whom, how much, and where it ended.

In the line: graph.py and layout.py -> here -> `Accept: image/svg+xml`, `/trace/{code}`, `suyuan trace --svg`. Contract: pure; the
text is text; every name is escaped; colours are the pages' own variables, so that it is light or dark as they are, and alone it
brings them with it; a thousand nodes become a few and "and 120 more".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup

from ledger.genealogy import Trace, Weighed
from trace_api.chart import text_width
from trace_api.genealogy.graph import Graph, Link, Node, bounded, graph_of
from trace_api.genealogy.layout import HEIGHT, WIDTH, Layout, ends, laid_out, layers_of, middle_of_pass
from trace_api.words import CATALOGUES, Words

Naming = Callable[[str], str | None]
"""What people call a place or a vehicle; None where nobody told."""

_EDGE: Final = 20.0
_SMALL, _TEXT = 11.0, 13.0
_COLOURS: Final = {
    "lot": "var(--accent)",
    "run": "var(--good)",
    "unit": "var(--air)",
    "vehicle": "var(--doubt)",
    "place": "var(--room)",
}
_ALONE: Final = (
    ":root{--ground:#fbf9f6;--raised:#fff;--ink:#24201d;--soft:#655d56;--hatch:#a49b90;--accent:#7c2a48;--good:#1d6b4f;"
    "--air:#1f67a3;--doubt:#7d5600;--room:#6d6a62}"
    "@media(prefers-color-scheme:dark){:root{--ground:#191715;--raised:#211e1c;--ink:#ece6df;--soft:#b1a79d;--hatch:#7b7268;"
    "--accent:#e39ab4;--good:#7fcfae;--air:#8fc1ee;--doubt:#e2b65c;--room:#b9b3a6}}"
    "svg{background:var(--ground)}"
)
STYLE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""What an SVG of ours needs, sent alone."""


@dataclass(frozen=True, slots=True)
class Painter:
    """`linked`: whether a thing leads to its own trace; `alone`: whether it stands in no page of ours."""

    words: Words
    naming: Naming
    zone: str = "UTC"
    linked: bool = False
    alone: bool = True

    def picture(self, found: Trace, edges: Iterable[Weighed]) -> Markup:
        whole = graph_of(found, edges)
        graph, layers = bounded(whole, layers_of(whole))
        layout = laid_out(graph, layers)
        width, height = layout.width + 2 * _EDGE, layout.height + 2 * _EDGE
        title = self.words("trace_picture_title", name=short(found.identifier))
        desc = self.words("trace_picture_desc", nodes=len(whole.nodes), links=len(whole.links))
        parts = [
            *self._links(graph, layout),
            *(self._node(graph, node, layout.at[key]) for key, node in graph.nodes.items()),
        ]
        return Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="{} {} {} {}" width="{}" height="{}" role="group" lang="{}"'
            ' aria-labelledby="trace-title trace-desc" font-family="var(--sans, sans-serif)" font-size="{}">'
            '<title id="trace-title">{}</title><desc id="trace-desc">{}</desc>{}'
            '<defs><marker id="trace-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="var(--hatch)"/></marker></defs>{}</svg>'
        ).format(
            -_EDGE, -_EDGE, round(width), round(height), round(width), round(height),
            self.words("html_lang"), _TEXT, title, desc,
            Markup("<style>{}</style>").format(Markup(_ALONE)) if self.alone else "",
            Markup("").join(parts),
        )  # fmt: skip

    # --- nodes

    def _node(self, graph: Graph, node: Node, at: tuple[float, float]) -> Markup:
        colour = _COLOURS[node.kind]
        seed = node.key == graph.seed
        above = self.words(f"trace_kind_{node.kind}") + self._when(node)
        box = Markup(
            '<g{}><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="{}" fill="var(--raised)" stroke="{}" stroke-width="{}"/>'
            '<text x="{}" y="{}" fill="var(--soft)" font-size="{}">{}</text>'
            '<text x="{}" y="{}" fill="var(--ink)" font-weight="{}">{}</text></g>'
        ).format(
            Markup(' class="seed"') if seed else "", node.name or above, at[0], at[1], WIDTH, HEIGHT, HEIGHT / 2 if node.kind == "run" else 5,
            colour, 3 if seed else 1.5,
            at[0] + 12, at[1] + 18, _SMALL, fitted(above, _SMALL),
            at[0] + 12, at[1] + 36, 700 if seed else 500, fitted(self._title(node), _TEXT),
        )  # fmt: skip
        if not self.linked or not node.name or node.kind in ("run", "place"):
            return box
        return Markup('<a href="{}">{}</a>').format(trace_address(node.name), box)

    def _title(self, node: Node) -> str:
        if node.count > 1:
            return self.words("trace_more", count=node.count)
        if node.kind == "run":
            return step_word(self.words, node.name)
        return self.naming(node.name) or short(node.name)

    def _when(self, node: Node) -> str:
        if not node.ms:
            return ""
        moment = datetime.fromtimestamp(node.ms / 1000, UTC)
        return f" · {moment.astimezone(ZoneInfo(self.zone)):%m-%d %H:%M}"

    # --- links

    def _links(self, graph: Graph, layout: Layout) -> Iterator[Markup]:
        for link in graph.links:
            points = [*_points(layout, link)]
            yield Markup(
                '<path d="{}" fill="none" stroke="var(--hatch)" stroke-width="{}" marker-end="url(#trace-tip)"/>'
            ).format(_curve(points), round(1.25 + 3 * (link.share or 0.0), 2))
            text = self._said(link)
            if text:
                yield self._label(text, points, to_run=graph.nodes[link.target].kind == "run")

    def _said(self, link: Link) -> str:
        parts = []
        if link.share is not None:
            parts.append(self.words.percent(link.share))
        elif link.quantity:
            parts.append(self.words.quantity(link.quantity, link.uom))
        if link.step:
            parts.insert(0, step_word(self.words, link.step))
        return " ".join(parts)

    @staticmethod
    def _label(text: str, points: list[tuple[float, float]], *, to_run: bool) -> Markup:
        """Beside what it is said of: shares beside each input, amounts beside what got them."""
        (x, y), anchor = (points[0], "start") if to_run else (points[-1], "end")
        return Markup(
            '<text x="{}" y="{}" text-anchor="{}" font-size="{}" fill="var(--soft)" stroke="var(--ground)" stroke-width="3"'
            ' paint-order="stroke">{}</text>'
        ).format(x + (6 if to_run else -9), y - 5, anchor, _SMALL, text)


def _points(layout: Layout, link: Link) -> Iterator[tuple[float, float]]:
    start, end = ends(layout, link)
    yield start
    for through in layout.ways[link.source, link.target]:
        x, y = middle_of_pass(through)
        yield x - WIDTH / 2, y
        yield x + WIDTH / 2, y
    yield end


def _curve(points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    path = [f"M{x:g} {y:g}"]
    for number, (next_x, next_y) in enumerate(rest):
        bend = (next_x - x) / 2
        straight = number % 2 == 1 and next_y == y
        path.append(
            f"L{next_x:g} {next_y:g}"
            if straight
            else f"C{x + bend:g} {y:g} {next_x - bend:g} {next_y:g} {next_x:g} {next_y:g}"
        )
        x, y = next_x, next_y
    return "".join(path)


def step_word(words: Words, step: str) -> str:
    """What was done; a word of somebody's own vocabulary as it is written."""
    key = f"trace_step_{step}"
    return words(key) if key in CATALOGUES[words.language] else short(step) or words("trace_step_other")


def short(name: str) -> str:
    """What tells it from others of its kind."""
    tail = name.rpartition("/")[2] if name.startswith("http") else name.rpartition(":")[2]
    return tail or name


def fitted(text: str, size: float, room: float = WIDTH - 32) -> str:
    """The end of a name tells more than its beginning."""
    if text_width(text, size) <= room:
        return text
    kept = text
    while kept and text_width("…" + kept, size) > room:
        kept = kept[1:]
    return "…" + kept


def trace_address(name: str) -> str:
    """Where the trace of a thing is shown."""
    path = name.removeprefix("https://id.gs1.org/")
    return "/trace/" + (quote(path, safe="/%") if path != name else quote(name, safe=""))
