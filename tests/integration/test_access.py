"""Every address of the application, asked by every kind of asker: what `docs/access.md` says is what happens.

The table is the specification. A route without a row fails, and so does a row without a route. Each cell is a request over
HTTP to the real server, with the session or token that such an asker has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from psycopg_pool import ConnectionPool

from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, as_browser, signed_in
from tests.acceptance.serving import NO_TLS, served
from tests.documents import DOCS
from tests.integration.lines import NOW
from tests.integration.said import GTIN, REGISTRY, by_terminal, made
from tests.servers.databases import Database
from trace_api.access import Databases
from trace_api.app import Configuration, create_app
from trace_api.roles import GOODS, OVERSEEING, ROLES

ASKERS = ("public", "token", *ROLES)
CELLS = {"yes", "own", "area", "sign in", "no"}
SPARE = "spare"  # an account to be administered

# What stands for a parameter of a path; what is not here is a number that nothing has.
SAMPLES = {
    "gtin": GTIN,
    "lot": "DK1",
    "serial": "0001",
    "code": f"01/{GTIN}/10/DK1",
    "log": "coop",
    "path": "checkpoint",
    "name": "icon.svg",
    "job": str(uuid4()),
}

# Filters that no route declares, since every one of them is said in words.
TYPED = {
    "/audit": ("from", "page", "over_c"),
    "/audit/duties": ("to", "page"),
    "/api/v1/audit/excursions": ("page",),
}

Route = tuple[str, str]
ROW = re.compile(r"^\| `([A-Z]+)` \| `([^`]+)` \|(.+)\|$", re.MULTILINE)


def table() -> dict[Route, dict[str, str]]:
    text = (DOCS / "access.md").read_text(encoding="utf-8")
    heads = [line for line in text.splitlines() if line.startswith("| | | ")]
    assert heads and {tuple(head.strip("| ").split(" | ")) for head in heads} == {ASKERS}, (
        "one head for all rows"
    )
    found: dict[Route, dict[str, str]] = {}
    for method, path, cells in ROW.findall(text):
        assert (method, path) not in found, f"{method} {path} has two rows"
        found[method, path] = dict(zip(ASKERS, (cell.strip() for cell in cells.split("|")), strict=True))
    return found


TABLE = table()


def routes(app: FastAPI) -> Iterator[Route]:
    """Every method and path, whether the schema shows it or not. HEAD is GET without its body."""
    for route in app.routes:
        for each in getattr(route, "effective_route_contexts", lambda route=route: [route])():
            for method in each.methods - {"HEAD"}:
                yield method, each.path_format


def test_each_route_has_a_row_and_each_row_a_route(tmp_path: Path) -> None:
    pool = ConnectionPool("", open=False)
    configuration = Configuration("http://127.0.0.1:8080", tmp_path, lambda _organisation: bytes(32))
    app = create_app(Databases(pool, pool), configuration, lambda: NOW)
    in_app = list(routes(app))
    assert len(in_app) > 25
    plain = {(method, re.sub(r":path\}", "}", path)) for method, path in in_app}
    assert plain - set(TABLE) == set(), "routes without a row in docs/access.md"
    assert set(TABLE) - plain == set(), "rows of docs/access.md without a route"


def test_the_table_uses_its_own_words() -> None:
    used = {cell for row in TABLE.values() for cell in row.values()}
    assert used <= CELLS
    assert {"yes", "own", "sign in", "no"} <= used


def test_an_administrator_sees_no_goods_and_an_auditor_writes_nothing() -> None:
    """What the text above the table promises, for every row that is ever added."""
    own = ("/sign-in", "/sign-out", "/account/password")
    keeps_nothing = ("/epcis/events/validate",)
    for (method, path), row in TABLE.items():
        if path.startswith(("/scan", "/check", "/audit")):
            assert row["administrator"] == "no", (method, path)
        if method not in ("GET", "HEAD", "OPTIONS") and path not in own + keeps_nothing:
            assert row["auditor"] in ("no", "sign in"), (method, path)
        if path.startswith("/accounts"):
            assert {row[role] for role in ROLES if role != "administrator"} == {"no"}, (method, path)


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    instance.take(by_terminal(made()), NOW)
    instance.settle(NOW)
    for role in ROLES:
        add_person(
            instance,
            role,
            role,
            organisation="coop" if role in GOODS else None,
            department="agriculture" if role == "official" else None,
            regions=("331024",) if role in OVERSEEING else (),
        )
    return instance


def test_every_cell_is_what_happens(instance: Instance) -> None:
    spare = add_person(instance, SPARE, "carrier", organisation="carrier")
    samples = SAMPLES | {"account": str(spare)}
    wrong: list[str] = []
    with served(instance, NOW) as client, ExitStack() as stack:
        askers = {asker: stack.enter_context(client_of(client, asker)) for asker in ASKERS}
        for (method, path), row in TABLE.items():
            for asker, cell in row.items():
                if path == "/sign-out":  # a session of its own: the other rows need theirs
                    with client_of(client, asker) as leaving:
                        found = outcome(leaving, method, path, samples)
                else:
                    found = outcome(askers[asker], method, path, samples)
                expected = cell if cell in ("sign in", "no") else "answered"
                if found != expected:
                    wrong.append(f"{method} {path}, {asker}: {found}, not {expected} ({cell})")
    assert wrong == []


@contextmanager
def client_of(server: httpx.Client, asker: str) -> Iterator[httpx.Client]:
    """A client with what such an asker has: a browser, a program with its token, a session."""
    if asker in ROLES:
        with signed_in(server, asker) as client:
            yield client
    else:
        program = {"Authorization": f"Bearer {token('coop')}"}
        headers = program if asker == "token" else as_browser(server)
        with httpx.Client(base_url=server.base_url, timeout=60, headers=headers, verify=NO_TLS) as client:
            yield client


def outcome(client: httpx.Client, method: str, path: str, samples: Mapping[str, str]) -> str:
    address = re.sub(r"\{(\w+)(?::path)?\}", lambda name: samples.get(name[1], "1"), path)
    answer = client.request(method, address, headers={"Idempotency-Key": str(uuid4())})
    if answer.status_code in (303, 307) and answer.headers["location"].startswith("/sign-in?next="):
        return "sign in"
    if answer.status_code in (401, 403):
        return {401: "sign in", 403: "no"}[answer.status_code]
    return (
        "answered" if answer.status_code < 500 else f"failed with {answer.status_code}: {answer.text[:200]}"
    )


def test_a_number_of_anybodys_breaks_no_address(instance: Instance) -> None:
    """`int` breaks at 4,300 digits, and `isdigit` says yes to what `int` does not read."""
    wrong: list[str] = []
    with served(instance, NOW) as client, ExitStack() as stack:
        askers = {asker: stack.enter_context(client_of(client, asker)) for asker in ASKERS}
        described = client.get("/openapi.json").json()["paths"]
        for (method, path), row in TABLE.items():
            asker = next((asker for asker, cell in row.items() if cell in ("yes", "own", "area")), "public")
            parameters = described.get(path, {}).get(method.lower(), {}).get("parameters", [])
            names = {each["name"] for each in parameters if each["in"] == "query"} | {*TYPED.get(path, ())}
            for hostile in ("9" * 5000, "²"):
                parts = dict.fromkeys(re.findall(r"\{(\w+)", path), quote(hostile))
                asked = [(path, parts)] if parts else []
                asked += [(f"{path}?{urlencode({name: hostile})}", dict(SAMPLES)) for name in names]
                found = {
                    address: outcome(askers[asker], method, address, filled) for address, filled in asked
                }
                wrong += [f"{method} {address[:60]}: {said}" for address, said in found.items() if said.startswith("failed")]  # fmt: skip
        for row_of_list in ("9" * 5000, "²"):
            sent = askers["packer"].post("/scan/do/sell", data={"do": f"drop:goods:{row_of_list}"})
            assert sent.status_code < 500, "a row of a list that there is none of"
    assert wrong == []
