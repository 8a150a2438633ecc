"""Where the world is: parties, places, vehicles, and the road from Xianju to Hangzhou.

Places, roads and their coordinates are real (WGS-84, from public maps, to about a kilometre on the road); the
companies are invented. The road is the one a truck takes: S28 (Taizhou-Jinhua) to the Baita junction, S26
(Zhuji-Yongjia) through the Shuangfeng tunnel into Pan'an and down to Zhuji, G60 and Hangzhou's ring to
Gouzhuang.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators import keys

FloatArray = npt.NDArray[np.float64]

TIME_ZONE: Final = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Organisation:
    """`region`: of its seat. `gs1_prefix`: only the co-op has one of its own."""

    id: str
    kind: str
    party: str
    zh: str
    en: str
    region: str
    gs1_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """`id`: the URI events name it by. Vehicles have no coordinates and no region: they move. `plate`: a vehicle's."""

    id: str
    organisation: str
    kind: str
    zh: str
    en: str
    region: str | None = None
    lat: float | None = None
    lon: float | None = None
    plate: str | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A code of GB/T 2260 that the world names, with the names it has there."""

    code: str
    level: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Plot:
    name: str
    grower: str
    place: Place


def _grower(ref: str) -> Organisation:
    party = f"{keys.OWN}/party/{ref}"
    return Organisation(ref.lower(), "grower", party, f"种植户 {ref}", f"Grower {ref}", "331024")


COOP: Final = Organisation(
    "xj-coop",
    "packer",
    keys.party_uri(200),
    "仙居步路杨梅专业合作社(演示)",
    "Xianju Bulu Bayberry Co-operative (demo)",
    "331024",
    keys.COMPANY_PREFIX,
)
GROWERS: Final = tuple(_grower(ref) for ref in ("G-0137", "G-0152", "G-0204"))
CARRIERS: Final = (
    Organisation(
        "carrier-1",
        "carrier",
        keys.party_uri(500),
        "永安溪冷链运输(演示)",
        "Yong'anxi Cold Haulage (demo)",
        "331024",
    ),
    Organisation(
        "carrier-2",
        "carrier",
        keys.party_uri(510),
        "括苍鲜运(演示)",
        "Kuocang Fresh Transport (demo)",
        "331082",
    ),
)
MARKET: Final = Organisation(
    "hz-market",
    "market",
    keys.party_uri(300),
    "勾庄果品批发市场(演示)",
    "Gouzhuang Fruit Market (demo)",
    "330110",
)
STALL: Final = Organisation(
    "hz-stall-b12", "stall", keys.party_uri(310), "B12 号杨梅档(演示)", "Stall B12 (demo)", "330110"
)
SHOP: Final = Organisation(
    "hz-shop-1",
    "retailer",
    keys.party_uri(401),
    "拱宸桥鲜果店(演示)",
    "Gongchenqiao Fruit Shop (demo)",
    "330105",
)
ORGANISATIONS: Final = (COOP, *GROWERS, *CARRIERS, MARKET, STALL, SHOP)

PLOTS: Final = (
    Plot(
        "P01",
        "G-0137",
        Place(
            keys.place_uri(101, "P01"),
            "xj-coop",
            "plot",
            "步路乡 1 号山",
            "Bulu, slope 1",
            "331024",
            28.7985,
            120.6842,
        ),
    ),
    Plot(
        "P04",
        "G-0152",
        Place(
            keys.place_uri(101, "P04"),
            "xj-coop",
            "plot",
            "步路乡 4 号山",
            "Bulu, slope 4",
            "331024",
            28.8071,
            120.6713,
        ),
    ),
    Plot(
        "P07",
        "G-0204",
        Place(
            keys.place_uri(101, "P07"),
            "xj-coop",
            "plot",
            "官路镇 7 号山",
            "Guanlu, slope 7",
            "331024",
            28.8396,
            120.6521,
        ),
    ),
)
COLLECTION: Final = Place(
    keys.place_uri(201),
    "xj-coop",
    "collection",
    "步路收购点",
    "Bulu collection station",
    "331024",
    28.8124,
    120.6905,
)
PACKHOUSE: Final = Place(
    keys.place_uri(202), "xj-coop", "packhouse", "合作社包装间", "Packhouse", "331024", 28.8372, 120.7186
)
PRECOOLING: Final = Place(
    keys.place_uri(203), "xj-coop", "precooling", "预冷间", "Pre-cooling room", "331024", 28.8371, 120.7184
)
COLD_STORE: Final = Place(
    keys.place_uri(204), "xj-coop", "cold_store", "1 号冷库", "Cold store 1", "331024", 28.8370, 120.7182
)
YARD: Final = Place(
    keys.place_uri(300),
    "hz-market",
    "yard",
    "勾庄市场停车场",
    "Gouzhuang market yard",
    "330110",
    30.3557,
    120.1049,
)
GATE: Final = Place(
    keys.place_uri(301),
    "hz-market",
    "gate",
    "勾庄市场南门",
    "Gouzhuang market, south gate",
    "330110",
    30.3538,
    120.1062,
)
DOCK: Final = Place(
    keys.place_uri(302),
    "hz-market",
    "dock",
    "勾庄市场 7 号卸货位",
    "Gouzhuang market, dock 7",
    "330110",
    30.3569,
    120.1071,
)
STALL_ROOM: Final = Place(
    keys.place_uri(310, "B12"),
    "hz-stall-b12",
    "stall",
    "B12 档口冷库",
    "Stall B12, cold room",
    "330110",
    30.3574,
    120.1078,
)
SHOP_SHELF: Final = Place(
    keys.place_uri(401),
    "hz-shop-1",
    "shop",
    "拱宸桥鲜果店",
    "Gongchenqiao fruit shop",
    "330105",
    30.3202,
    120.1357,
)
# Where the second carrier's drivers change; no load of this world stops there.
DEPOT: Final = Place(
    keys.place_uri(511),
    "carrier-2",
    "transfer",
    "东阳中转点",
    "Dongyang transfer point",
    "330783",
    29.2795,
    120.3302,
)
PLACES: Final = (
    *(plot.place for plot in PLOTS),
    COLLECTION,
    PRECOOLING,
    PACKHOUSE,
    COLD_STORE,
    GATE,
    YARD,
    DOCK,
    STALL_ROOM,
    SHOP_SHELF,
    DEPOT,
)
VEHICLES: Final = (
    Place(
        keys.asset_uri("0REEFER07"),
        "carrier-1",
        "trailer",
        "浙J·冷藏 07 车厢",
        "Reefer body 07",
        plate="浙J5A607",
    ),
    Place(
        keys.asset_uri("0REEFER31"),
        "carrier-2",
        "trailer",
        "浙J·冷藏 31 车厢",
        "Reefer body 31",
        plate="浙J8C131",
    ),
)

REGIONS: Final = (
    Region("33", "province", "浙江省", "Zhejiang"),
    Region("3301", "prefecture", "杭州市", "Hangzhou"),
    Region("330105", "county", "拱墅区", "Gongshu District"),
    Region("330110", "county", "余杭区", "Yuhang District"),
    Region("3307", "prefecture", "金华市", "Jinhua"),
    Region("330783", "county", "东阳市", "Dongyang City"),
    Region("3310", "prefecture", "台州市", "Taizhou"),
    Region("331024", "county", "仙居县", "Xianju County"),
    Region("331082", "county", "临海市", "Linhai City"),
)

# What a driver passes, in order; distances follow from the coordinates and ROAD_FACTOR.
WAYPOINTS: Final = (
    ("合作社", 28.8370, 120.7182),
    ("S28 仙居", 28.8295, 120.6975),
    ("S28 官路", 28.8052, 120.6460),
    ("白塔枢纽", 28.7730, 120.5840),
    ("S26 仙居白塔", 28.8050, 120.5560),
    ("双峰隧道南口", 28.8650, 120.5330),
    ("双峰隧道北口", 28.9170, 120.5120),
    ("磐安双峰", 28.9540, 120.5030),
    ("磐安", 29.0480, 120.4660),
    ("东阳马宅", 29.1230, 120.4210),
    ("东阳横店", 29.1860, 120.3590),
    ("东阳东", 29.2780, 120.3270),
    ("东阳巍山", 29.3620, 120.3760),
    ("诸暨璜山", 29.5050, 120.3560),
    ("诸暨街亭", 29.6130, 120.2900),
    ("诸暨直埠枢纽", 29.7900, 120.2160),
    ("G60 次坞", 29.8960, 120.1740),
    ("G60 临浦", 30.0420, 120.2290),
    ("袁浦枢纽", 30.1390, 120.1160),
    ("绕城留下", 30.2420, 120.0440),
    ("绕城三墩", 30.3330, 120.0710),
    ("勾庄市场南门", 30.3538, 120.1062),
)
ROAD_FACTOR: Final = 1.13  # the road winds between the points
TUNNEL: Final = ("双峰隧道南口", "双峰隧道北口")
NO_SIGNAL: Final = ("S26 仙居白塔", "磐安双峰")  # valleys and short tunnels on both sides of the long one
REST_AREA: Final = "东阳东"


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (lat, lon) in degrees."""
    lat_a, lat_b = radians(a[0]), radians(b[0])
    half = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b[1] - a[1]) / 2) ** 2
    return 2 * 6371.0 * asin(sqrt(half))


def _milestones_km() -> dict[str, float]:
    total = 0.0
    milestones = {WAYPOINTS[0][0]: 0.0}
    for before, here in pairwise(WAYPOINTS):
        total += distance_km(before[1:], here[1:]) * ROAD_FACTOR
        milestones[here[0]] = total
    return milestones


MILESTONES_KM: Final = _milestones_km()
ROAD_KM: Final = MILESTONES_KM[WAYPOINTS[-1][0]]


def position(road_km: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Latitude and longitude, degrees, of each distance from the co-op along the road."""
    along = np.array([MILESTONES_KM[name] for name, _, _ in WAYPOINTS])
    lat = np.interp(road_km, along, np.array([lat for _, lat, _ in WAYPOINTS]))
    lon = np.interp(road_km, along, np.array([lon for _, _, lon in WAYPOINTS]))
    return lat, lon
