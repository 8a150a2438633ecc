"""A cooperative's morning on a phone, in real Chromium against the served application: every act, its papers, its undoing,
and what happens when something is wrong. What a page says was recorded is looked for in the record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pypdfium2
import pytest
import zxingcpp

from ledger.personal import is_person
from simulators import places, registration
from tests.acceptance.instance import Instance
from tests.acceptance.people import PASSWORD, add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, assert_well_made, session_of, window
from tests.integration.lines import NOW
from tests.servers.databases import Database
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.editions("plain")  # the pages are the same over any database

PLOTS = [plot.place.id for plot in places.PLOTS]
TRUCK = places.VEHICLES[0].id
CONTACT = "0576-5550100"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(registration.document((), date(2026, 6, 20)))
    add_person(instance, "lin", "packer", "warehouse", organisation="xj-coop")
    add_person(instance, "picker", "grower", organisation="g-0137")
    add_person(instance, "driver", "carrier", organisation="carrier-1")
    add_person(instance, "shop", "retailer", organisation="hz-shop-1")
    return instance


@pytest.fixture
def server(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, NOW) as client:
        yield client


@pytest.fixture
def lin(server: httpx.Client) -> Iterator[httpx.Client]:
    with signed_in(server, "lin") as client:
        yield client


def events(instance: Instance) -> int:
    return int(instance.one("SELECT count(*) FROM event"))


# By hand, as somebody at work does it -----------------------------------------------------------------------------------


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.fill(f'[name="{name.replace("__", ".")}"]', value)


def choose(page: Page, name: str, value: str) -> None:
    page.select_option(f'[name="{name}"]', value)


def put_on_list(page: Page, name: str, lot: str, quantity: str = "") -> None:
    choose(page, f"{name}.pick", lot)
    page.fill(f'[name="{name}.quantity"]', quantity)
    page.click(f'button[value="add:{name}"]')
    page.wait_for_selector(f'[value="{lot}"][type=hidden]', state="attached")


def record(page: Page) -> None:
    """Sends the form, and is told that it was recorded."""
    page.click("form.fields > button.main")
    page.wait_for_url("**/scan/done/*")
    assert page.locator(".notice-good").count() == 1


def lots_of(page: Page) -> list[str]:
    """The lots that the last act made, as the next form is offered them."""
    return page.locator(".scan-code").all_inner_texts()


def harvest(page: Page, plot: str, kg: str, called: str = "") -> str:
    page.goto("/scan/do/register_batch")
    choose(page, "plot", plot)
    fill(page, kg=kg, called=called)
    page.check("[name=interval_checked]")
    record(page)
    return "https://suyuan.example/xj-coop/class/yangmei-dongkui." + lots_of(page)[0]


def sort(page: Page, lots: list[str]) -> str:
    """48 boxes of grade A came out; grade B stays empty."""
    page.goto("/scan/do/mix")
    for lot in lots:
        put_on_list(page, "inputs", lot)
    fill(page, outputs__0__boxes="48", cull_kg="4")
    record(page)
    (number,) = lots_of(page)
    return f"https://id.gs1.org/01/09521234000204/10/{number}"


def pack(page: Page, lot: str, boxes: str) -> str:
    page.goto("/scan/do/pack")
    choose(page, "lot", lot)
    fill(page, boxes=boxes)
    record(page)
    return "https://id.gs1.org/00/" + lots_of(page)[0].replace(" ", "")


# The morning -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1280)])
def test_a_morning(
    browser: Browser,
    instance: Instance,
    server: httpx.Client,
    lin: httpx.Client,
    language: Language,
    width: int,
) -> None:
    """Worked through once on a phone and once at a desk; each page is looked at as both show it."""
    words = Words(language)
    looks = {wide: scheme for spoken, scheme, wide in LOOKS if spoken == language}
    look: dict[str, Any] = {"language": language, "scheme": looks[width], "width": width}
    with window(browser, server, session=session_of(lin), **look) as page:

        def well(path: str | None = None) -> None:
            if path:
                page.goto(path)
            for wide in sorted(looks, key=lambda each: each == width):  # back to its own at the end
                page.emulate_media(color_scheme=looks[wide])
                page.set_viewport_size({"width": wide, "height": 844})
                assert_well_made(page, wide)

        well("/scan")
        assert words("scan_have_none") in page.inner_text("main")
        first = harvest(page, PLOTS[0], "126.5", "3号棚上午")
        well()
        assert "3号棚上午" in page.inner_text("main")
        others = [harvest(page, PLOTS[1], "98"), harvest(page, PLOTS[2], "80.5")]
        lots = [first, *others]

        well("/scan/do/weigh_in")
        choose(page, "lot", first)
        fill(page, kg="126")
        page.check("[name=bought][value=no]")
        record(page)

        page.goto("/scan/do/precool_start")
        for lot in lots:
            put_on_list(page, "goods", lot)
        well()
        record(page)
        page.goto("/scan/do/precool_end")
        for lot in lots:
            put_on_list(page, "goods", lot)
        fill(page, pulp__0="4.1", pulp__1="4.5", pulp__2="3.9")
        record(page)

        page.goto("/scan/do/mix")
        for lot in lots:
            put_on_list(page, "inputs", lot)
        fill(page, outputs__0__boxes="120", outputs__1__boxes="20", cull_kg="18")
        page.click("button[value=sum]")
        page.wait_for_selector(".scan-sums")
        assert [text.replace("\u00a0", " ") for text in page.locator(".scan-sums dd").all_inner_texts()] == [
            words.quantity(each, "KGM").replace("\u00a0", " ") for each in (305.0, 280.0, 18.0, 7.0)
        ]
        page.check("[name=certify]")
        fill(page, certify__contact=CONTACT)
        well()
        record(page)
        well()
        made = [f"https://id.gs1.org/01/09521234000204/10/{number}" for number in lots_of(page)]
        assert len(made) == 2

        units = [pack(page, made[0], "48"), pack(page, made[0], "60")]
        well()
        for kind in ("store", "load"):
            page.goto(f"/scan/do/{kind}")
            for unit in units:
                page.check(f'[name=units][value="{unit}"]')
            if kind == "load":
                choose(page, "vehicle", TRUCK)
                fill(
                    page,
                    pulp__0="4.1",
                    pulp__1="4.3",
                    pulp__2="3.8",
                    seals="浙A-0012345",
                    agreed_low_c="0",
                    agreed_high_c="5",
                )
            well()
            record(page)
        page.goto("/scan/do/depart")
        choose(page, "vehicle", TRUCK)
        record(page)
        well()
        for path in ("/scan", "/scan/certificates", "/scan/certificates/new", f"/scan/find?code={made[0]}"):
            well(path)
        page.goto("/scan/certificates")
        page.click(".card a")
        well()

    steps = instance.rows("SELECT type, biz_step FROM event ORDER BY id")
    told = [(kind, re.sub(r"^.*[:-]", "", step)) for kind, step in steps]
    assert told == [
        *[("ObjectEvent", "commissioning")] * 3,
        ("ObjectEvent", "receiving"),
        *[("ObjectEvent", "storing")] * 2,
        ("TransformationEvent", "commissioning"),
        *[("AggregationEvent", "packing")] * 2,
        ("ObjectEvent", "storing"),
        ("AggregationEvent", "loading"),
        ("ObjectEvent", "departing"),
    ]
    issued = instance.rows("SELECT kind, quantity_kg, contact FROM certificate ORDER BY number")
    assert [(kind, kg) for kind, kg, _ in issued] == [("producer", 240.0), ("producer", 40.0)]
    assert {is_person(contact) for *_, contact in issued} == {True}, "the number itself is in the vault"


def test_it_is_done_as_well_without_script(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin), script=False) as page:
        lots = [harvest(page, PLOTS[0], "60"), harvest(page, PLOTS[1], "41.5")]
        packed = sort(page, lots)
        unit = pack(page, packed, "48")
        page.goto("/scan")
        assert page.locator(f'.card a[href*="{unit.rpartition("/")[2]}"]').count() == 1
    assert events(instance) == 4


def test_a_scanners_enter_puts_on_the_list_and_takes_nothing_off(
    browser: Browser, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin)) as page:
        lots = [harvest(page, PLOTS[0], "60"), harvest(page, PLOTS[1], "41.5")]
        page.goto("/scan/do/mix")
        for lot in lots:
            page.fill('[name="inputs.code"]', lot)
            page.press('[name="inputs.code"]', "Enter")
            page.wait_for_selector(f'[value="{lot}"][type=hidden]', state="attached")
        assert page.locator(".scan-taken li").count() == 2
        assert page.evaluate("document.activeElement.name") == "inputs.code", "ready for the next one"
        assert_well_made(page, 390)


def test_where_goods_lie_in_two_places_one_is_chosen(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin), refusals=(422,)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        page.goto("/scan/do/store")
        page.click("summary")
        put_on_list(page, "goods", packed, "20")
        record(page)
        page.goto("/scan/do/sell")
        put_on_list(page, "goods", packed)
        page.click("form.fields > button.main")
        page.wait_for_selector(".field-wrong [name=place]")
        choose(page, "place", places.PACKHOUSE.id)
        record(page)
    told = instance.one(
        "SELECT convert_from(bytes, 'UTF8')::jsonb FROM event_bytes ORDER BY event DESC LIMIT 1"
    )
    assert told["quantityList"][0]["quantity"] == 28 and told["readPoint"]["id"] == places.PACKHOUSE.id


# Papers ---------------------------------------------------------------------------------------------------------------------


def codes_in(paper: bytes) -> list[str]:
    """What a scanner reads off the printed pages: at 203 dpi, in black and white."""
    found = []
    for page in pypdfium2.PdfDocument(paper):
        image = page.render(scale=203 / 72).to_pil().convert("L").point(lambda value: 255 * (value > 127))
        found += [code.text for code in zxingcpp.read_barcodes(image)]
    return found


def words_in(paper: bytes) -> str:
    return "".join(str(page.get_textpage().get_text_bounded()) for page in pypdfium2.PdfDocument(paper))


def test_labels_lead_back_to_what_they_stand_on(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    site = str(server.base_url).rstrip("/")
    with window(browser, server, session=session_of(lin)) as page:
        lots = [harvest(page, PLOTS[0], "60", "3号棚上午"), harvest(page, PLOTS[1], "41.5")]
        packed = sort(page, lots)
        unit = pack(page, packed, "12")
        links = [link.get_attribute("href") or "" for link in page.locator(".scan-sizes a").all()]
        assert len(links) == 4
        for link in links:
            answer = page.context.request.get(link)
            assert answer.headers["content-type"] == "application/pdf"
            codes = codes_in(answer.body())
            if "/units" in link:
                assert codes == [unit.replace("https://id.gs1.org", site)]
            else:
                box = packed.replace("https://id.gs1.org", site)
                assert codes == [f"{box}/21/{number:08d}" for number in range(1, 13)]
            assert "仙居步路杨梅专业合作社" in words_in(answer.body())
        instance.settle(NOW + timedelta(minutes=1))
        answer = server.get(
            codes[0].removeprefix(site) if "/01/" in codes[0] else "/", headers={"Accept": "text/html"}
        )
        assert answer.status_code == 200
        page.goto(
            unit.replace("https://id.gs1.org", "")
        )  # the pallet's code leads those who handle goods to it
        assert page.url.startswith(f"{site}/scan/find") and "48" not in page.inner_text("h1")
        assert "12" in page.inner_text(".card")


def test_a_box_label_opens_the_shoppers_page(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        pack(page, packed, "2")
        link = page.locator('.scan-sizes a[href*="boxes"]').first.get_attribute("href") or ""
        codes = codes_in(page.context.request.get(link).body())
        instance.settle(NOW + timedelta(minutes=1))
        page.goto(codes[1])
        assert page.url == codes[1] and "00000002" in page.inner_text("main")


def test_certificates_are_never_edited(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    words = Words("zh")
    with window(browser, server, session=session_of(lin), refusals=(409,)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        page.goto(f"/scan/certificates/new?lot={packed}")
        fill(page, kg="97", contact=CONTACT)
        page.click("form.fields > button.main")
        page.wait_for_selector(".field-error")
        said = page.inner_text(".field-error").replace("\u00a0", " ")
        assert "96 千克" in said and "97 千克" in said
        assert page.input_value("[name=contact]") == CONTACT and page.input_value("[name=kg]") == "97"
        assert instance.one("SELECT count(*) FROM certificate") == 0

        fill(page, kg="90")
        page.click("form.fields > button.main")
        page.wait_for_url(re.compile(r"/scan/certificates/HGZ\w+$"))
        number = page.url.rpartition("/")[2]
        assert page.locator("input[name=kg]").count() == 0
        paper = page.context.request.get(f"/scan/certificates/{number}/paper?size=A6").body()
        assert "我承诺对生产销售的食用农产品" in words_in(paper) and "90 千克" in words_in(paper)
        (code,) = codes_in(paper)

        page.goto(f"/scan/certificates/new?replaces={number}")
        assert page.input_value("[name=contact]") == CONTACT and page.input_value("[name=kg]") == "90"
        fill(page, kg="50")
        page.click("form.fields > button.main")
        page.wait_for_url(lambda url: "/scan/certificates/HGZ" in url and not url.endswith(number))
        following = page.url.rpartition("/")[2]
        old = words_in(page.context.request.get(f"/scan/certificates/{number}/paper?size=A4").body())
        assert "已作废" in old and following in old

        fill(page, reason="写错了品种")
        page.click("button.danger")
        page.wait_for_selector("text=写错了品种")
        assert instance.rows("SELECT status FROM certificate ORDER BY number") == [("replaced",), ("void",)]
    with window(browser, server) as page:  # whoever scans the paper, signed in or not
        page.goto(code)
        assert words("scan_status_replaced") in page.inner_text("main") and following in page.inner_text(
            "main"
        )
        assert CONTACT not in page.content()
        assert_well_made(page, 390)


# Undoing -------------------------------------------------------------------------------------------------------------------


def test_a_slip_is_corrected_and_taken_back(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    """All of it without script: the browser of an old phone asks once more as well."""
    words = Words("zh")
    with window(browser, server, session=session_of(lin), refusals=(409,), script=False) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        pack(page, packed, "48")
        page.click(f'a:text-is("{words("scan_correct")}")')
        assert page.input_value("[name=boxes]") == "48" and page.input_value("[name=lot]") == packed
        chosen = page.inner_text("[name=lot] option:checked")
        assert chosen == packed.rpartition("/")[2], "by its number, though nothing of it is left"
        fill(page, boxes="49")
        page.click("form.fields > button.main")
        page.wait_for_selector(".field-error")  # 48 there were, the wrong ones among them
        fill(page, boxes="44")
        record(page)
        assert "44" in page.inner_text(".scan-facts")
        labels = page.locator(".scan-sizes a").first.get_attribute("href") or ""
        page.click("text=" + words("scan_corrects"))
        assert words("scan_was_corrected_title") in page.inner_text("h1")

        page.goto("/scan")
        page.click(".card >> nth=0 >> text=" + words("scan_wrong_within", minutes=10))
        assert instance.one("SELECT count(*) FROM act WHERE undone_at IS NOT NULL") == 1, "asked once more"
        page.click(".scan-undo button")
        page.wait_for_selector("text=" + words("scan_was_undone_title"))
        assert page.locator(".scan-sizes").count() == 0
        page.goto(labels)
        assert words("scan_labels_undone_title") in page.inner_text("h1")
        page.goto("/scan/do/pack")
        assert "48" in page.inner_text(f'option[value="{packed}"]')
    declared = instance.rows(
        "SELECT event_id, convert_from(bytes, 'UTF8')::jsonb -> 'errorDeclaration' ->> 'correctiveEventIDs' FROM event"
        " JOIN event_bytes ON event_bytes.event = event.id WHERE is_error ORDER BY id"
    )
    ((_, corrective), (corrected, none)) = declared
    assert corrected in corrective and none is None
    assert (
        instance.one("SELECT count(*) FROM event WHERE event_id = ANY (%s)", [name for name, _ in declared])
        == 4
    )


def test_what_others_built_upon_stays(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin), refusals=(409,)) as page:
        lot = harvest(page, PLOTS[0], "100")
        first = page.url
        sort(page, [lot])
        for path in (first, first.replace("/done/", "/undo/")):
            page.goto(path)
            assert page.locator('.scan-undo, a[href*="corrects"]').count() == 0
            assert "后面已有" in page.inner_text("main")
        before = events(instance)
        answer = lin.post(first.replace("/done/", "/undo/"), data={"idempotency_key": str(uuid4())})
        assert answer.status_code == 409 and "后面已有" in answer.text
    assert events(instance) == before


# Twice, lost, wrong ------------------------------------------------------------------------------------------------------


def test_a_double_tap_is_one_event(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin)) as page:
        page.goto("/scan/do/register_batch")
        choose(page, "plot", PLOTS[0])
        fill(page, kg="100")
        page.dblclick("form.fields > button.main")
        page.wait_for_url("**/scan/done/*")
    assert events(instance) == 1
    # And where no script holds the second tap back: the very same form, sent again.
    form = {"idempotency_key": str(uuid4()), "product": "09521234000204", "plot": PLOTS[0], "kg": "12"}
    answers = [lin.post("/scan/do/register_batch", data=form) for _ in range(3)]
    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
        (303, answers[0].headers["location"])
    }
    assert events(instance) == 2


def test_a_lost_session_says_so_and_loses_nothing_that_was_typed(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    words = Words("zh")
    with window(browser, server, session=session_of(lin)) as page:
        page.goto("/scan/do/register_batch")
        choose(page, "plot", PLOTS[0])
        fill(page, kg="100")
        assert lin.post("/sign-out").status_code == 303
        page.click("form.fields > button.main")
        page.wait_for_url(lambda url: "/sign-in?" in url)
        assert words("work_kept_title") in page.inner_text("main")
        assert_well_made(page, 390)
        page.fill("input[name=login]", "lin")
        page.fill("input[name=password]", PASSWORD)
        page.click("form.fields button[type=submit]")
        page.wait_for_selector(f"h1:text-is('{words('work_kept_send_title')}')")
        assert_well_made(page, 390)
        assert events(instance) == 0
        page.click("form.fields button[type=submit]")
        page.wait_for_url("**/scan/done/*")
    assert events(instance) == 1


WRONG = {
    "torn": ("https://id.gs1.org/00/1952123400000", "码不完整"),
    "check digit": ("195212340000000011", "校验位不对"),
    "foreign": ("https://id.gs1.org/01/06901234567892/10/X1", "没有您可见的记录"),
    "unreadable": ("\u54c8\u54c8 %%", "请"),
    "product alone": ("https://id.gs1.org/01/09521234000204", "不说明是哪一批"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_code_is_answered_with_what_to_do(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client, case: str
) -> None:
    code, want = WRONG[case]
    with window(browser, server, session=session_of(lin), refusals=(403, 404, 422)) as page:
        lot = harvest(page, PLOTS[0], "100")
        page.goto("/scan/do/mix")
        put_on_list(page, "inputs", lot, "40")
        fill(page, inputs__code=code, outputs__0__boxes="10", cull_kg="2.5")
        page.click("form.fields > button.main")
        page.wait_for_selector(".notice-bad")
        errors = " ".join(page.locator(".field-error, .notice-bad").all_inner_texts())
        assert want in errors and "请" in errors
        # Nothing that was typed is gone, and the list is as it was.
        assert (
            page.input_value('[name="outputs.0.boxes"]') == "10"
            and page.input_value("[name=cull_kg]") == "2.5"
        )
        assert page.input_value('[name="inputs.0.quantity"]') == "40"
        assert_well_made(page, 390)
    assert events(instance) == 1


def test_more_than_there_is_is_refused_where_it_was_typed(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin), refusals=(409, 422)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        before = events(instance)
        page.goto("/scan/do/pack")
        choose(page, "lot", packed)
        fill(page, boxes="49")
        page.click("form.fields > button.main")
        page.wait_for_selector(".field-error")
        assert "只剩 48" in page.inner_text(".field-wrong:has([name=boxes])").replace("\u00a0", " ")
        assert page.input_value("[name=boxes]") == "49" and page.input_value("[name=lot]") == packed
        fill(page, boxes="48")  # mended in place, on the very same form
        record(page)
    assert events(instance) == before + 1


def test_somebody_elses_goods_are_not_ours_to_act_on(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    with window(browser, server, session=session_of(lin)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        unit = pack(page, packed, "12")
    instance.settle(NOW + timedelta(minutes=1))
    before = events(instance)
    with signed_in(server, "shop") as shop:
        with window(browser, server, session=session_of(shop), refusals=(403, 404)) as page:
            page.goto("/scan/do/sell")
            fill(page, goods__code=packed, goods__quantity="2")
            page.click("form.fields > button.main")
            page.wait_for_selector(".notice-bad")
            assert "不能由本单位登记" in page.inner_text("main")
            held, on_it = "scan_not_held_title", "scan_not_on_it_title"
            for code, kind, said in (
                (unit, "receive", held),
                (packed, "receive", held),
                (TRUCK, "unload", on_it),
            ):
                page.goto(f"/scan/find?code={code}")
                assert Words("zh")(said) in page.inner_text("main")
                links = [str(link.get_attribute("href")) for link in page.locator(".scan-acts a").all()]
                assert [link.partition("?")[0] for link in links] == [f"/scan/do/{kind}"], code
        made = instance.one("SELECT id FROM act ORDER BY at DESC LIMIT 1")
        for answer in (
            shop.get(f"/scan/done/{made}"),
            shop.get(f"/scan/labels/{made}/boxes"),
            shop.post(f"/scan/undo/{made}", data={"idempotency_key": str(uuid4())}),
        ):
            assert answer.status_code == 404, "another organisation's act is not found"
    assert events(instance) == before
    with (
        signed_in(server, "driver") as driver,
        window(browser, server, session=session_of(driver), refusals=(403,)) as page,
    ):
        page.goto(f"/scan/find?code={unit}")
        page.click('a[href^="/scan/do/load"]')
        choose(page, "vehicle", TRUCK)
        fill(page, pulp__0="-1", agreed_low_c="-18", agreed_high_c="5")
        assert page.locator("[name=place][required]").count() == 1
        keys = [page.get_attribute(f'[name="{name}"]', "inputmode") for name in ("pulp.0", "agreed_low_c")]
        assert keys == ["text", "text"], "an iPhone's decimal keys have no minus"
        choose(page, "place", places.COLD_STORE.id)
        page.click("form.fields > button.main")
        page.wait_for_selector(".field-error, .notice-bad")
        assert "不在“1 号冷库”" in page.inner_text("main")
        choose(page, "place", places.PACKHOUSE.id)
        record(page)
    assert events(instance) == before + 1


def test_each_role_is_offered_its_own_acts(browser: Browser, server: httpx.Client) -> None:
    offered = {
        "picker": ["register_batch", "ship", "shrink"],
        "driver": ["load", "depart", "hand_over", "arrive", "unload"],
    }
    for login, kinds in offered.items():
        with (
            signed_in(server, login) as client,
            window(browser, server, session=session_of(client), refusals=(403,)) as page,
        ):
            page.goto("/scan")
            shown = [link.get_attribute("href") for link in page.locator('a[href^="/scan/do/"]').all()]
            assert shown == [f"/scan/do/{kind}" for kind in kinds]
            page.goto("/scan/do/mix")
            assert Words("zh")("scan_not_your_act_title") in page.inner_text("h1")
            for kind in kinds:
                page.goto(f"/scan/do/{kind}")
                assert_well_made(page, 390)


def test_received_on_the_other_side(
    browser: Browser, instance: Instance, server: httpx.Client, lin: httpx.Client
) -> None:
    """Sent off by the cooperative, scanned and taken in by the shop."""
    with window(browser, server, session=session_of(lin)) as page:
        packed = sort(page, [harvest(page, PLOTS[0], "100")])
        unit = pack(page, packed, "12")
        page.goto(f"/scan/do/ship?unit={unit}")
        choose(page, "buyer", "hz-shop-1")
        record(page)
    instance.settle(NOW + timedelta(minutes=1))
    with signed_in(server, "shop") as shop, window(browser, server, session=session_of(shop)) as page:
        page.goto("/scan/do/receive")
        page.fill('[name="units.code"]', unit.rpartition("/")[2])  # as a hand scanner types it, with Enter
        page.press('[name="units.code"]', "Enter")
        page.wait_for_selector(f'[name=units][value="{unit}"]')
        page.check("[name=bought][value=yes]")
        page.check("[name=for_sale]")
        record(page)
        page.goto("/scan")
        assert "12" in page.inner_text(".card strong")
        page.goto(f"/scan/find?code={unit}")  # some boxes of the pallet are sold, and it stays
        page.click('a[href^="/scan/do/sell"]')
        assert page.input_value('[name="goods.0.quantity"]') == "12"

        foreign = f"{packed}1"  # of boxes on no pallet, of which nobody recorded anything
        page.goto(f"/scan/find?code={foreign}")
        page.click('a[href^="/scan/do/receive?lot="]')
        fill(page, goods__0__quantity="5")
        page.check("[name=outside]")
        page.check("[name=bought][value=yes]")
        assert_well_made(page, 390)
        record(page)
        page.goto("/scan/do/receive")
        fill(page, kg="50", called="老王家的")
        page.check("[name=bought][value=yes]")
        record(page)
        assert lots_of(page) == [f"{NOW:%y%m%d}-W"] and page.locator(".scan-sizes").count() == 1
        links = [str(link.get_attribute("href")) for link in page.locator(".scan-acts a").all()]
        assert links and not any("/split" in link for link in links), (
            "there is no pallet to take boxes out of"
        )
        page.goto("/scan/do/sell")
        assert "老王家的" in page.inner_text("[name='goods.pick']") and "剩 50" in page.content()
