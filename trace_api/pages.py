"""The pages for people: a `Story` and a language in, HTML out.

Last in the line: `telling.py` has read what is so, this puts it into words and pictures. Contract: no I/O but the reading
of templates; everything that came from outside is escaped; a page is whole without JavaScript and without any other host,
and stands under `CONTENT_SECURITY_POLICY`. The script of `web/` only changes the proof section, with words that are
already in the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import quote

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trace_api import chart
from trace_api.story import Leg, Name, Origin, Recall, Site, Step, Story
from trace_api.words import LANGUAGES, Language, Words

DEFAULT_ZONE = "Asia/Shanghai"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept, Accept-Language",
        "Cache-Control": "no-cache",
    }
)
"""What every page is sent with."""

CHECKS = (
    "file", "content", "root_key", "root_checkpoint", "key", "own_key", "anchor", "checkpoint", "rotation", "entry", "log",
    "inclusion", "fields", "readings", "summary", "stream", "amends", "clock", "cosignature", "timestamp", "quorum",
)  # fmt: skip
"""What a verifier may say of an evidence file; each has a sentence, `check_...`."""
_REASONS = ("fetch", "error", "other")
_RELATIONS = ("independent", "operator", "authority")

MissingReason = Literal["unknown_lot", "unknown_box", "bad_identifier", "unavailable", "no_page"]


class PagesError(Exception):
    """The pages cannot be made; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Addresses that a page needs. `public_url`: where people reach us, without a slash at the end; the QR code holds it.
    `script` is the shopper's, `work` that of the working pages."""

    style: str
    script: str
    icon: str
    public_url: str
    work: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no story. `asked`: what was asked for, as it came. `detail`: what is wrong with it, in both languages.
    `recalls`: that are published though nothing else of the goods is."""

    reason: MissingReason
    asked: str
    detail: Name | None = None
    lot_path: str | None = None
    recalls: tuple[Recall, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A box or lot shown on the start page. `path`: of its page, from the root."""

    title: Name
    note: Name
    path: str


def load_assets(public_url: str, prefix: str = "/web", dist: Traversable | None = None) -> Assets:
    """Where the built files are served. PagesError if they have not been built."""
    manifest = _manifest(dist or built_files())
    style, script, icon, work = (f"{prefix}/{manifest[name]}" for name in ("style", "script", "icon", "work"))
    return Assets(style, script, icon, public_url.rstrip("/"), work)


def built_file(name: str, dist: Traversable | None = None) -> Traversable:
    """A built file by its name in the manifest. PagesError if there is none."""
    folder = dist or built_files()
    return folder.joinpath(_manifest(folder)[name])


def _manifest(folder: Traversable) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(folder.joinpath("manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise PagesError(
            "The pages' script and style have not been built: install the package with pip, or, in a clone, run `python hatch_build.py`."
        ) from cause
    return found


def built_files() -> Traversable:
    """The folder that is to be served under the prefix of `load_assets`."""
    return files("trace_api").joinpath("web", "dist")


def choose_language(query: str | None, accept_language: str | None) -> Language:
    """`query`: the page's own `?lang=`, which wins. Then the browser's wish; Chinese where it has none that we speak."""
    for language in LANGUAGES:
        if query == language:
            return language
    wishes = sorted(_wishes(accept_language or ""), key=lambda wish: -wish[1])
    for tag, weight in wishes:
        for language in LANGUAGES:
            if weight > 0 and tag.partition("-")[0] == language:
                return language
    return "en" if wishes and "*" not in dict(wishes) else "zh"


def _wishes(header: str) -> Iterator[tuple[str, float]]:
    """Tags and weights of an Accept-Language header, in its order; what cannot be read is left out."""
    for part in header.lower().split(",")[:20]:
        tag, _, parameter = part.strip().partition(";")
        name, _, text = parameter.strip().partition("=")
        try:
            weight = float(text) if name == "q" else 1.0
        except ValueError:
            continue
        if tag:
            yield tag.strip(), weight


def render_story(story: Story, language: Language, assets: Assets) -> str:
    """The shopper's page of a box or a lot."""
    words = Words(language)
    path = story_path(story.gtin, story.lot, story.serial)
    zone = _zone(story)
    return render(
        "story.html",
        words,
        assets,
        path=path,
        title=_subject(story, words),
        story=story,
        zone=zone,
        lot_path=story_path(story.gtin, story.lot, None),
        facts=tuple(_facts(story, words, zone)),
        origins=tuple(_OriginView.of(origin, words, zone) for origin in story.origins),
        days=tuple(_days(story.steps, words, zone)),
        temperature=_Temperature.of(story.legs, words, zone),
        portions=story.portions,
        sample_path=lambda serial: story_path(story.gtin, story.lot, serial),
        sealed=_sealed(story, words),
        checks=CHECKS,
        reasons=_REASONS,
        relations=_RELATIONS,
        file_name=f"{story.lot}{'-' + story.serial if story.serial else ''}.evidence.json",
    )


def render_missing(missing: Missing, language: Language, assets: Assets) -> str:
    """The page of something that is not here: what happened, and what to do next."""
    words = Words(language)
    title = words(f"missing_{missing.reason}_title")
    return render("missing.html", words, assets, path="", title=title, missing=missing)


def render_home(samples: Sequence[Sample], language: Language, assets: Assets) -> str:
    """The start page, with boxes and lots to look at."""
    words = Words(language)
    return render("home.html", words, assets, path="/", title=words("home_title"), samples=samples)


def qr_svg(url: str) -> Markup:
    """A QR code of `url` as inline SVG, sized and coloured by the style sheet. Level M: a scratched label still reads."""
    code = segno.make(url, error="m", micro=False)
    return Markup(code.svg_inline(omitsize=True, border=2, svgclass="qr", lineclass="qr-dark"))


def story_path(gtin: str, lot: str, serial: str | None) -> str:
    """The GS1 Digital Link path of a lot's or a box's page."""
    path = f"/01/{quote(gtin, safe='')}/10/{quote(lot, safe='')}"
    return path if serial is None else f"{path}/21/{quote(serial, safe='')}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("trace_api"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, words: Words, assets: Assets, path: str, title: str, **facts: Any) -> str:
    """Any page of ours. `path`: its own address from the root, for the link to the other language."""
    page = _environment().get_template(template)
    return page.render(w=words, assets=assets, path=path, title=title, qr_svg=qr_svg, **facts)


def render_bare(template: str, words: Words, **facts: Any) -> str:
    """A page that stands alone, without addresses of ours."""
    return _environment().get_template(template).render(w=words, **facts)


def _subject(story: Story, words: Words) -> str:
    product = words.name(story.product)
    if story.serial is None:
        return words("subject_lot", product=product, lot=story.lot)
    return words("subject_box", product=product, serial=story.serial)


def _zone(story: Story) -> str:
    """The zone of the goods: that of the last place they were at."""
    sites: list[Site | None] = [step.site for step in reversed(story.steps)]
    sites += [leg.site for leg in reversed(story.legs)] + [origin.site for origin in story.origins]
    return next((site.time_zone for site in sites if site), DEFAULT_ZONE)


@dataclass(frozen=True, slots=True)
class _Fact:
    label: str
    value: str
    note: str


def _facts(story: Story, words: Words, zone: str) -> Iterator[_Fact]:
    if story.picked_from:
        since = (story.now - story.picked_from).total_seconds() / 60
        when = words.moment(story.picked_from, zone)
        yield _Fact(words("fact_picked"), words.age(since), words("fact_picked_note", when=when))
    else:
        yield _Fact(words("fact_picked"), words("unknown"), "")
    if story.hours_to_cold is not None:
        cold = words.minutes(story.hours_to_cold * 60)
        yield _Fact(words("fact_to_cold"), cold, words("fact_to_cold_note") if len(story.origins) > 1 else "")
    if story.legs:
        measured, total = _minutes(story.legs)
        value, note = words.minutes(measured), words("fact_measured_note", total=words.minutes(total))
        yield _Fact(words("fact_measured"), value, note)


def _minutes(legs: Iterable[Leg]) -> tuple[float, float]:
    """Measured, and in all."""
    measured = total = 0.0
    for leg in legs:
        measured += leg.measured_min
        total += leg.measured_min + leg.unmeasured_min
    return measured, total


@dataclass(frozen=True, slots=True)
class _OriginView:
    lot: str
    place: str
    picked: str | None
    share: float | None
    share_text: str

    @classmethod
    def of(cls, origin: Origin, words: Words, zone: str) -> _OriginView:
        site = origin.site
        picked = (
            words.moment(origin.picked_at, site.time_zone if site else zone) if origin.picked_at else None
        )
        share = words.percent(origin.share) if origin.share is not None else words("origin_share_unknown")
        place = words.name(site.name) if site else words("origin_unknown")
        return cls(_short_lot(origin.lot), place, picked, origin.share, share)


def _short_lot(uri: str) -> str:
    """What stands on a label: the lot number of a Digital Link, else the last part of the URI."""
    return uri.rstrip("/").rpartition("/")[2] or uri


@dataclass(frozen=True, slots=True)
class _StepView:
    ms: int
    iso: str
    clock: str
    what: str
    place: str
    who: str
    pulp: str | None


@dataclass(frozen=True, slots=True)
class _Day:
    name: str
    steps: tuple[_StepView, ...]


def _days(steps: Sequence[Step], words: Words, zone: str) -> Iterator[_Day]:
    def day(step: Step) -> str:
        return words.day(step.at, step.site.time_zone if step.site else zone)

    for name, group in groupby(steps, key=day):
        yield _Day(name, tuple(_step(step, words, zone) for step in group))


def _step(step: Step, words: Words, zone: str) -> _StepView:
    place = words.name(step.site.name) if step.site else ""
    who = words.name(step.organisation) if step.organisation else ""
    pulp = words("pulp", value=words.celsius(step.pulp_c)) if step.pulp_c is not None else None
    return _StepView(
        ms=_ms(step.at),
        iso=step.at.isoformat(),
        clock=words.clock(step.at, step.site.time_zone if step.site else zone),
        what=words.known("step", step.code),
        place=place,
        who=who,
        pulp=pulp,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class _LegView:
    number: int
    stage: str
    place: str
    when: str
    span: str
    notes: tuple[str, ...]
    beyond: bool


@dataclass(frozen=True, slots=True)
class _DayOfHours:
    name: str
    hours: tuple[chart.Hour, ...]


def _days_of_hours(hours: Iterable[chart.Hour], words: Words, zone: str) -> Iterator[_DayOfHours]:
    for name, group in groupby(hours, key=lambda hour: words.day(hour.start, zone)):
        yield _DayOfHours(name, tuple(group))


@dataclass(frozen=True, slots=True)
class _Temperature:
    """Everything of the temperature section. `drawings`: empty where nothing was measured."""

    summary: str
    drawings: tuple[chart.Drawing, ...]
    legs: tuple[_LegView, ...]
    limits: tuple[str, ...]
    positions: tuple[str, ...]
    hours: tuple[_DayOfHours, ...]
    devices: tuple[str, ...]
    has_gaps: bool
    has_beyond: bool

    @classmethod
    def of(cls, legs: Sequence[Leg], words: Words, zone: str) -> _Temperature:
        legs = sorted(legs, key=lambda leg: leg.start)
        shown = chart.positions(legs)
        sizes = (chart.WIDE, chart.NARROW) if shown else ()
        return cls(
            summary=_summary(legs, words, zone),
            drawings=tuple(chart.draw(legs, size, words, zone) for size in sizes),
            legs=tuple(_leg(number, leg, words, zone) for number, leg in enumerate(legs, 1)),
            limits=tuple(_limits(legs, words)),
            positions=shown,
            hours=tuple(_days_of_hours(chart.hours(legs), words, zone)),
            devices=tuple(dict.fromkeys(_devices(legs, words))),
            has_gaps=any(chart.unmeasured(leg) for leg in legs),
            has_beyond=any(leg.beyond_min[1] > 0 for leg in legs),
        )


def _summary(legs: Sequence[Leg], words: Words, zone: str) -> str:
    if not legs:
        return words("chart_none")
    measured, total = _minutes(legs)
    start, end = words.moment(legs[0].start, zone), words.moment(max(leg.end for leg in legs), zone)
    lows = [leg.lowest_c for leg in legs if leg.lowest_c is not None]
    highs = [leg.highest_c for leg in legs if leg.highest_c is not None]
    if not lows or not highs:
        return words("chart_summary_nothing", start=start, end=end, total=words.minutes(total))
    return words(
        "chart_summary",
        start=start,
        end=end,
        total=words.minutes(total),
        measured=words.minutes(measured),
        unmeasured=words.minutes(total - measured),
        lowest=words.celsius(min(lows)),
        highest=words.celsius(max(highs)),
    )


def _leg(number: int, leg: Leg, words: Words, zone: str) -> _LegView:
    zone = leg.site.time_zone if leg.site else zone
    same_day = words.day(leg.start, zone) == words.day(leg.end, zone)
    end = words.clock(leg.end, zone) if same_day else words.moment(leg.end, zone)
    span = ""
    if leg.lowest_c is not None and leg.highest_c is not None:
        span = words("leg_span", lowest=words.celsius(leg.lowest_c), highest=words.celsius(leg.highest_c))
    return _LegView(
        number=number,
        stage=words.known("stage", leg.stage),
        place=chart.place_name(leg, words),
        when=words("leg_at", start=words.moment(leg.start, zone), end=end),
        span=span,
        notes=tuple(_leg_notes(leg, words)),
        beyond=leg.beyond_min[0] >= 1 and leg.limit_c is not None,
    )


def _leg_notes(leg: Leg, words: Words) -> Iterator[str]:
    if leg.lowest_c is None:
        yield words("leg_none", minutes=words.minutes(leg.unmeasured_min))
    elif leg.unmeasured_min >= 1:
        yield words("leg_unmeasured", minutes=words.minutes(leg.unmeasured_min))
    else:
        yield words("leg_measured_all")
    if leg.limit_c is None:
        yield words("leg_no_limit")
    elif leg.beyond_min[0] >= 1:
        least, most = (words.minutes(minutes) for minutes in leg.beyond_min)
        yield words("leg_beyond", limit=words.celsius(leg.limit_c), least=least, most=most)
    elif leg.beyond_min[1] >= 1:
        yield words(
            "leg_maybe_beyond", limit=words.celsius(leg.limit_c), most=words.minutes(leg.beyond_min[1])
        )
    elif leg.lowest_c is not None:
        yield words("leg_within", limit=words.celsius(leg.limit_c))


def _limits(legs: Sequence[Leg], words: Words) -> Iterator[str]:
    """Each limit with the numbers of the legs where it is in force."""
    places: dict[float, list[str]] = {}
    for number, leg in enumerate(legs, 1):
        if leg.limit_c is not None:
            places.setdefault(leg.limit_c, []).append(str(number))
    for limit, numbers in places.items():
        separator = "、" if words.language == "zh" else ", "
        yield words("chart_limit_in", value=words.celsius(limit), places=separator.join(numbers))


def _devices(legs: Sequence[Leg], words: Words) -> Iterator[str]:
    for leg in legs:
        for curve in leg.curves:
            yield words(
                "data_device",
                position=words.known("position", curve.position),
                model=curve.device_model,
                accuracy=f"{curve.accuracy_c:g}",
                interval=words.seconds(curve.interval_s),
            )


def _sealed(story: Story, words: Words) -> str:
    if story.events_sealed == 0:
        return words("proof_sealed_none")
    if story.events_sealed >= story.events_recorded:
        return words("proof_sealed_all", count=story.events_recorded)
    return words("proof_sealed_some", recorded=story.events_recorded, sealed=story.events_sealed)
