"""A journey of 36 hours as a frozen `Story`: three growers, two curves, one leg too warm with a stretch not measured.

The temperatures are made by a room and a load that drift towards each other, without randomness, so that a picture made
from them is the same each time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from zlib import crc32

from trace_api.story import (
    Certificate,
    Curve,
    Judgement,
    Leg,
    Name,
    Origin,
    Portion,
    Site,
    Step,
    Story,
    Test,
)

ZONE = timezone(timedelta(hours=8))
GTIN, LOT, SERIAL = "09521234000204", "DK260618A", "0017"
PROOF_URL = f"/api/v1/lots/01/{GTIN}/10/{LOT}/21/{SERIAL}/proof"
START = datetime(2026, 6, 18, 5, 20, tzinfo=ZONE)
NOW = START + timedelta(hours=36)

COOP = Name("仙居横溪杨梅合作社", "Xianju Hengxi Bayberry Cooperative")
CARRIER = Name("台州顺冷物流", "Taizhou Shunleng Logistics")
MARKET = Name("杭州勾庄果品批发市场", "Hangzhou Gouzhuang Fruit Market")
STALL = Name("老周水果 B12 档", "Zhou's Fruit, stall B12")
SHOP = Name("城西鲜果店", "Chengxi Fresh Fruit")


def site(name: Name, kind: str, region: str | None, latitude: float | None, longitude: float | None) -> Site:
    return Site(
        f"https://id.gs1.org/414/{crc32(name.en.encode()):013d}",
        name,
        kind,
        region,
        latitude,
        longitude,
        "Asia/Shanghai",
    )


PLOTS = (
    site(Name("横溪镇上陈村 7 号山", "Shangchen hill 7, Hengxi"), "plot", "331024", 28.735, 120.494),
    site(Name("横溪镇苍岭坑", "Canglingkeng, Hengxi"), "plot", "331024", 28.741, 120.452),
    site(Name("步路乡西炉村", "Xilu village, Bulu"), "plot", "331024", 28.826, 120.808),
)
COLLECTION = site(Name("横溪收购点", "Hengxi collection station"), "collection", "331024", 28.732, 120.513)
PRECOOLING = site(
    Name("合作社预冷间", "Cooperative pre-cooling room"), "precooling", "331024", 28.845, 120.731
)
PACKHOUSE = site(Name("合作社分拣车间", "Cooperative packhouse"), "packhouse", "331024", 28.845, 120.731)
COLD_STORE = site(
    Name("合作社 1 号冷库", "Cooperative cold store 1"), "cold_store", "331024", 28.845, 120.731
)
TRUCK = site(Name("冷藏车 浙J·32807", "Reefer truck Zhe J-32807"), "trailer", None, None, None)
YARD = site(Name("勾庄市场待检区", "Gouzhuang market waiting yard"), "yard", "330110", 30.364, 120.108)
STALL_B12 = site(Name("勾庄市场 B12 档", "Gouzhuang market, stall B12"), "stall", "330110", 30.366, 120.111)
CITY_SHOP = site(
    Name("文三路城西鲜果店", "Chengxi Fresh Fruit, Wensan Road"), "shop", "330106", 30.281, 120.122
)


def at(hours: float) -> datetime:
    """Hours after the first picking."""
    return START + timedelta(hours=hours)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def curve(
    position: str, start: float, end: float, first: float, towards: float, hours: float, *,
    ripple: float = 0.15, interval_s: int = 60, without: tuple[float, float] | None = None, model: str = "TH-20",
) -> Curve:  # fmt: skip
    """From `first` °C towards `towards` °C with a time constant of `hours`; nothing within `without`."""
    step = max(interval_s, 300)
    points = []
    for second in range(0, round((end - start) * 3600), step):
        hour = second / 3600
        if without and without[0] <= start + hour < without[1]:
            continue
        wave = ripple * (math.sin(second / 700) + 0.5 * math.sin(second / 190 + 1))
        value = towards + (first - towards) * math.exp(-hour / hours) + wave
        points.append((milliseconds(at(start + hour)), round(value, 2)))
    return Curve(position, model, 0.3, interval_s, tuple(points))


def leg(
    place: Site | None, holder: Name, stage: str, start: float, end: float, *curves: Curve,
    limit_c: float | None = None, unmeasured_min: float = 0.0, beyond_min: tuple[float, float] = (0.0, 0.0),
) -> Leg:  # fmt: skip
    values = [value for each in curves for _, value in each.points]
    minutes = (end - start) * 60
    unmeasured = unmeasured_min if curves else minutes
    return Leg(
        place, holder, stage, at(start), at(end), limit_c, curves, minutes - unmeasured, unmeasured, beyond_min,
        min(values, default=None), max(values, default=None),
    )  # fmt: skip


LEGS = (
    leg(PLOTS[0], COOP, "field", 0, 1.75),
    leg(COLLECTION, COOP, "collected", 1.75, 2.4, curve("ambient", 1.75, 2.4, 24.6, 26.0, 1.5)),
    leg(
        PRECOOLING, COOP, "precooling", 2.4, 5.0,
        curve("return_air", 2.4, 5.0, 9.0, 1.2, 0.5), curve("pulp", 2.5, 5.0, 25.2, 1.0, 1.1, ripple=0.05),
    ),
    leg(PACKHOUSE, COOP, "cold", 5.0, 7.2, curve("ambient", 5.0, 7.2, 9.0, 10.5, 1.0), limit_c=None),
    leg(COLD_STORE, COOP, "cold", 7.2, 13.2, curve("return_air", 7.2, 13.2, 3.4, 1.6, 0.8), limit_c=5.0),
    leg(
        TRUCK, CARRIER, "loaded", 13.2, 17.9,
        curve("return_air", 13.2, 17.9, 3.2, 11.5, 3.4, ripple=0.3, without=(15.1, 15.8)),
        curve("in_box", 13.3, 17.9, 2.1, 9.2, 6.5, ripple=0.05, interval_s=300, without=(15.1, 15.8), model="BoxLog 2"),
        limit_c=5.0, unmeasured_min=42, beyond_min=(118, 164),
    ),
    leg(YARD, CARRIER, "arrived", 17.9, 20.0, curve("in_box", 17.9, 20.0, 6.0, 7.6, 2.5, ripple=0.05, interval_s=300),
        limit_c=5.0, beyond_min=(110, 126)),
    leg(STALL_B12, STALL, "stall", 20.0, 26.9, curve("ambient", 20.0, 26.9, 14.0, 15.5, 2.0, ripple=0.3)),
    leg(CITY_SHOP, SHOP, "shelf", 26.9, 36.0, curve("ambient", 26.9, 33.0, 17.0, 18.5, 2.0, ripple=0.4),
        unmeasured_min=180),
)  # fmt: skip

STEPS = (
    Step("harvest", at(0), PLOTS[0], COOP, 1),
    Step("harvest", at(0.2), PLOTS[1], COOP, 2),
    Step("harvest", at(0.35), PLOTS[2], COOP, 3),
    Step("collected", at(1.75), COLLECTION, COOP, 4, 24.8),
    Step("precooling_start", at(2.4), PRECOOLING, COOP, 5),
    Step("precooling_end", at(5.0), PRECOOLING, COOP, 6, 2.4),
    Step("mixed", at(6.3), PACKHOUSE, COOP, 7),
    Step("packed", at(6.9), PACKHOUSE, COOP, 8),
    Step("stored", at(7.2), COLD_STORE, COOP, 9),
    Step("loaded", at(13.2), COLD_STORE, COOP, 10, 2.2),
    Step("departed", at(13.7), TRUCK, CARRIER, 11),
    Step("arrived", at(17.9), YARD, MARKET, 12),
    Step("unloaded", at(20.0), STALL_B12, STALL, 13),
    Step("inspected", at(20.1), STALL_B12, MARKET, 14, 6.8),
    Step("sampled", at(20.15), STALL_B12, MARKET, 15),
    Step("tested", at(20.6), STALL_B12, MARKET, 16),
    Step("accepted", at(20.7), STALL_B12, STALL, 17),
    Step("sold_on", at(25.9), STALL_B12, STALL, 18),
    Step("on_shelf", at(26.9), CITY_SHOP, SHOP, 19),
)

BREACH = Judgement(
    "breach",
    Name(
        "运输与待检途中，箱内温度高于约定上限 5 °C 至少 3 小时 48 分。",
        "On the road and while waiting, the box was above the agreed 5 °C for at least 3 h 48 min.",
    ),
    Name(
        "已扣除传感器误差；未测量的 42 分钟不计为超限，也不计为达标。",
        "The sensors' error is counted in the carrier's favour; the 42 minutes not measured count as neither in nor out.",
    ),
    (
        Name("冷藏车回风温度自 20:10 起持续上升。", "The truck's return air rose steadily from 20:10."),
        Name("到达后在待检区等候 2 小时 6 分。", "After arrival the truck waited 2 h 6 min in the yard."),
    ),
    Name(
        "杨梅，运输与待检：箱内、回风 ≤ 5 °C，连续 30 分钟",
        "Bayberry in transport and waiting: in the box and return air at most 5 °C, 30 minutes in a row",
    ),
    False,
    (228.0, 290.0),
)  # fmt: skip
COMPLIANT = Judgement(
    "compliant",
    Name("在要求冷藏的全程中，测得温度未超过约定上限 5 °C。", "Wherever cold was agreed, the measured temperature stayed within 5 °C."),
    Name("未测量的时间按超限计算后，仍在允许范围内。", "Even with the unmeasured minutes counted as too warm, it is within what was agreed."),
    (),
    BREACH.rule,
    False,
    (0.0, 12.0),
)  # fmt: skip
INDETERMINATE = Judgement(
    "indeterminate",
    Name("无法判断：冷藏车上有 2 小时 40 分没有测量。", "This cannot be told: 2 h 40 min on the truck were not measured."),
    Name("补测 3 箱果心温度，或让记录仪立即上传，即可判断。", "Measuring the pulp of 3 boxes, or letting the logger upload now, would settle it."),
    (),
    BREACH.rule,
    False,
    (0.0, 160.0),
)  # fmt: skip

BOX = Portion("https://id.gs1.org/00/095212340000000017", 48, None, CITY_SHOP, "shelf", "breach", "0017")
PORTIONS = (
    BOX,
    Portion("https://id.gs1.org/00/095212340000000024", 120, None, STALL_B12, "stall", "compliant", "0121"),
    Portion(
        "https://id.gs1.org/00/095212340000000031", 72, None, COLD_STORE, "cold", "indeterminate", "0200"
    ),
    Portion(None, 12.5, "KGM", PACKHOUSE, "cold", "not_applicable", None),
)

BOX_STORY = Story(
    gtin=GTIN,
    lot=LOT,
    serial=SERIAL,
    product=Name("东魁杨梅 2 千克装", "Dongkui bayberries, 2 kg box"),
    brand=Name("仙岭红", "Xianling Red"),
    origins=(
        Origin("https://id.gs1.org/01/99521234000207/10/G0137-0618", PLOTS[0], at(0), 0.46),
        Origin("https://id.gs1.org/01/99521234000207/10/G0142-0618", PLOTS[1], at(0.2), 0.33),
        Origin("https://id.gs1.org/01/99521234000207/10/G0208-0618", PLOTS[2], at(0.35), 0.21),
    ),
    picked_from=at(0),
    hours_to_cold=5.0,
    now=NOW,
    steps=STEPS,
    legs=LEGS,
    judgement=BREACH,
    certificates=(Certificate("https://id.gs1.org/253/9521234000013DK0618", COOP, at(1.8)),),
    tests=(Test(at(20.6), STALL_B12, "passed"),),
    portions=(BOX,),
    on_hold=False,
    events_recorded=19,
    events_sealed=18,
    proof_url=PROOF_URL,
    independent_witnesses=0,
)
LOT_STORY = replace(
    BOX_STORY, serial=None, portions=PORTIONS, proof_url=PROOF_URL.replace(f"/21/{SERIAL}", "")
)
BARE_STORY = replace(
    BOX_STORY, brand=None, origins=(), picked_from=None, hours_to_cold=None, steps=(), legs=(), judgement=None,
    certificates=(), tests=(), portions=(), events_recorded=0, events_sealed=0,
)  # fmt: skip
"""The least a story can say: a lot that was announced and nothing more."""
