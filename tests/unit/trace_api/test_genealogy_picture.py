"""The picture of a trace: what is drawn, where it stands, and that no trace is too large for it."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.genealogy import Direction, RecordedEvent, replay, weighed
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    PLOT,
    SHOP,
    TRUCK,
    fruit,
    gone,
    lot,
    made,
    mixed,
    put_in,
    some,
    take_out,
    unit,
)
from trace_api.genealogy.graph import Graph, Link, Node, bounded, graph_of
from trace_api.genealogy.layout import HEIGHT, WIDTH, laid_out, layers_of
from trace_api.genealogy.picture import Painter
from trace_api.words import LANGUAGES, Words

A = lot("A")
SVG = "{http://www.w3.org/2000/svg}"


def chain() -> list[RecordedEvent]:
    return [
        made(0, fruit("P01"), 30, "KGM", where=PLOT),
        made(1, fruit("P02"), 10, "KGM", where=PLOT),
        mixed(2, [some(fruit("P01"), 30, "KGM"), some(fruit("P02"), 10, "KGM")], [some(A, 20)]),
        put_in(3, unit(1), some(A, 15), where=PACKHOUSE),
        put_in(4, TRUCK, unit(1), step="loading", readPoint=PACKHOUSE),
        take_out(5, TRUCK, unit(1), step="unloading", where=MARKET),
        take_out(6, unit(1), some(A, 15), where=MARKET),
        gone(7, "retail_selling", some(A, 3), readPoint=SHOP),
        gone(8, "retail_selling", some(A, 2), readPoint=SHOP),
    ]


def graph(events: list[RecordedEvent], name: str = A, direction: Direction = "both") -> Graph:
    genealogy = replay(events)
    found = genealogy.trace(name, direction)
    return graph_of(found, weighed(genealogy, found.edges))


def painted(events: list[RecordedEvent], name: str = A, language: str = "en", **said: bool) -> str:
    genealogy = replay(events)
    found = genealogy.trace(name)
    painter = Painter(Words(language), lambda place: None, **said)  # type: ignore[arg-type]
    return str(painter.picture(found, weighed(genealogy, found.edges)))


def short(key: str) -> str:
    return key.rpartition("/")[2]


def test_from_the_plot_to_the_shop_with_shares_and_amounts() -> None:
    drawn = graph(chain())
    links = {(short(each.source), short(each.target)): each for each in drawn.links}
    (run,) = [node.key for node in drawn.nodes.values() if node.kind == "run"]
    kinds = {short(node.key): node.kind for node in drawn.nodes.values() if node.kind != "run"}
    assert kinds[short(unit(1))] == "unit"
    assert kinds[short(TRUCK)] == "vehicle"
    assert links[short(fruit("P01")), short(run)].share == pytest.approx(0.75)
    assert (links[short(run), "A"].quantity, links[short(run), "A"].uom) == (20, None)
    assert links["A", short(unit(1))].quantity == 15
    assert links["P01", short(fruit("P01"))].quantity == 30
    sold = links["A", short(SHOP)]
    assert (sold.quantity, sold.step) == (5, "retail_selling")
    assert (short(TRUCK), short(MARKET)) in links


def test_a_plot_is_drawn_as_a_place() -> None:
    (alone,) = graph([made(0, fruit("P01"), 30, "KGM", where=PLOT)], PLOT).nodes.values()
    assert (alone.name, alone.kind) == (PLOT, "place")


def test_what_comes_first_stands_left_of_what_comes_of_it() -> None:
    drawn = graph(chain())
    layers = layers_of(drawn)
    assert all(layers[link.source] < layers[link.target] for link in drawn.links)


def test_a_thousand_inputs_are_a_few_and_the_rest_is_counted() -> None:
    inputs = [fruit(f"P{number:04d}") for number in range(1000)]
    events = [
        *(made(0, name, 1 + number, "KGM", where=PLOT) for number, name in enumerate(inputs)),
        mixed(1, [some(name, 1 + number, "KGM") for number, name in enumerate(inputs)], [some(A, 20)]),
    ]
    whole = graph(events)
    assert len(whole.nodes) > 1000
    drawn, _ = bounded(whole, layers_of(whole))
    assert len(drawn.nodes) < 20
    (rest,) = [node for node in drawn.nodes.values() if node.count > 1 and node.kind == "lot"]
    assert rest.count == 991
    assert fruit("P0999") in {node.name for node in drawn.nodes.values()}, "the largest stand for themselves"
    assert sum(link.share or 0 for link in drawn.links) == pytest.approx(1)
    text = painted(events)
    assert "and 991 more" in text
    assert len(text) < 30_000


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 9))
    nodes = {f"n{number}": Node(f"n{number}", "lot", f"n{number}", number) for number in range(count)}
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(sorted(nodes)), st.sampled_from(sorted(nodes))),
            max_size=20,
            unique=True,
        )
    )
    return Graph("n0", nodes, tuple(Link(source, target) for source, target in pairs if source != target))


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_any_graph_is_laid_out_circles_too_and_no_two_nodes_meet(drawn: Graph) -> None:
    layout = laid_out(drawn, layers_of(drawn))
    places = sorted(layout.at.values())
    assert len(places) == len(drawn.nodes)
    for x, y in places:
        assert 0 <= x <= layout.width - WIDTH
        assert 0 <= y <= layout.height - HEIGHT + 1e-9
    for (x1, y1), (x2, y2) in pairwise(places):
        assert x1 != x2 or y2 - y1 >= HEIGHT


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_picture_is_well_formed_text_with_a_title_and_a_description(language: str) -> None:
    picture = ElementTree.fromstring(painted(chain(), language=language))  # noqa: S314
    assert picture.find(f"{SVG}title") is not None
    assert picture.find(f"{SVG}desc") is not None
    texts = [each.text for each in picture.iter(f"{SVG}text")]
    assert "A" in texts
    assert any("75" in str(text) for text in texts)
    x, y, width, height = map(float, picture.attrib["viewBox"].split())
    for box in picture.iter(f"{SVG}rect"):
        assert x <= float(box.attrib["x"]) <= x + width - float(box.attrib["width"])
        assert y <= float(box.attrib["y"]) <= y + height - float(box.attrib["height"])


def test_in_a_page_it_has_no_style_of_its_own_and_its_things_lead_on() -> None:
    text = painted(chain(), linked=True, alone=False)
    assert "<style" not in text
    assert " style=" not in text
    assert f'href="/trace/01/{A.partition("/01/")[2]}"' in text
    assert "prefers-color-scheme:dark" in painted(chain())


def test_a_name_is_no_markup() -> None:
    text = painted([], "urn:x:<script>alert('1')</script>&\"")
    assert "<script" not in text
    ElementTree.fromstring(text)  # noqa: S314


def test_a_trace_of_nothing_is_one_node() -> None:
    assert list(graph([], "urn:x:nothing").nodes) == ["is urn:x:nothing"]
    ElementTree.fromstring(painted([], "urn:x:nothing"))  # noqa: S314
