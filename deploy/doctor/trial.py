"""What belongs to a trial and not to an instance for real people: the demo's codes, and passwords that anybody guesses.

In a trial it is only counted. In production it fails: a code under GS1's demonstration prefix is printed by every
example on earth, and a guessed password makes the record say what a stranger wants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.doctor.database import ROLES
from deploy.doctor.examination import Away, Patient, blinded, connect
from deploy.doctor.findings import Finding, fail, grave, listed, ok, unknown
from ingest.broker_address import broker_address

DEMO_PREFIX = "952"
"""GS1's company prefix for demonstrations: a GTIN has it behind its indicator digit, the other keys at their start."""

# Each: what it is, and a query that gives its examples.
_DEMO: Sequence[tuple[str, str]] = (
    (
        "organisations",
        r"SELECT id FROM organisation WHERE party ~ '/41[47]/952' OR party LIKE '%suyuan.example%'",
    ),
    (
        "places and vehicles",
        r"SELECT id FROM place WHERE id ~ '/(414|8004)/952' OR id LIKE '%suyuan.example%'",
    ),
    (
        "products",
        r"SELECT id FROM product WHERE id ~ '^.952\d{10}$' OR EXISTS"
        r" (SELECT FROM unnest(classes) AS class WHERE class ~ '/01/.952' OR class LIKE '%suyuan.example%')",
    ),
    ("devices", r"SELECT external_id FROM device WHERE giai ~ '/8004/952' OR giai LIKE '%suyuan.example%'"),
    ("logs", r"SELECT origin FROM log WHERE origin LIKE '%suyuan.example%'"),
)

GUESSES = (
    "suyuan",
    "password",
    "postgres",
    "123456",
    "12345678",
    "admin",
    "demo",
    "test",
    "changeme",
    "secret",
    "PASSWORD",
    "…",
    "...",
)


def demo_data(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        if (user := blinded(conn)) is not None:
            yield unknown(
                "trial data", f"{user} does not see every row", "give the owner's URL with --database-url"
            )
            return
        found = {what: [str(name) for (name,) in conn.execute(query.encode())] for what, query in _DEMO}
    told = "; ".join(f"{len(names)} {what} ({listed(names, 2)})" for what, names in found.items() if names)
    if not told:
        yield ok("trial data", f"nothing under the demonstration prefix {DEMO_PREFIX} or at suyuan.example")
    elif patient.production:
        yield fail(
            "trial data",
            f"of the demonstration: {told}",
            "begin production in an empty database: what is recorded cannot be taken out again",
        )
    else:
        yield ok("trial data", f"of the demonstration, as a trial may have: {told}")


def tokens(patient: Patient) -> Iterator[Finding]:
    """Tokens for capture are kept as hashes, so that only guesses can be tried."""
    with patient.database() as conn:
        kept = {
            bytes(digest): organisation
            for digest, organisation in conn.execute("SELECT sha256, organisation FROM api_token")
        }
    guessed = [
        organisation
        for digest, organisation in kept.items()
        for guess in (*GUESSES, organisation, f"token-of-{organisation}", f"{organisation}-token")
        if hashlib.sha256(guess.encode()).digest() == digest
    ]
    if guessed:
        yield grave(
            patient.production,
            "passwords",
            f"the capture token of {listed(guessed)} was guessed",
            "delete it from api_token, and make one with `suyuan register --token`",
        )
    else:
        yield ok("passwords", f"none of {len(kept)} capture tokens is one that anybody guesses")


def in_settings(patient: Patient) -> Iterator[Finding]:
    """Passwords that stand in the settings' URLs."""
    settings, weak, seen = patient.settings, [], 0
    for name, url in (
        ("SUYUAN_DATABASE_URL", settings.database_url),
        ("SUYUAN_PUBLIC_DATABASE_URL", settings.public_database_url),
    ):
        try:
            parts = conninfo_to_dict(url) if url else {}
        except psycopg.ProgrammingError:
            continue
        seen += "password" in parts
        weak += [name] * _is_weak(parts.get("password"), parts.get("user"))
    with suppress(ValueError):
        broker = broker_address(settings.mqtt_url)
        seen += broker.password is not None
        weak += ["SUYUAN_MQTT_URL"] * _is_weak(broker.password, broker.user)
    if weak:
        yield grave(
            patient.production,
            "passwords",
            f"anybody guesses the password in {listed(weak)}",
            "change it there and in the setting; `openssl rand -hex 16` makes one",
        )
    elif seen:
        yield ok("passwords", f"none of the {seen} in the settings is one that anybody guesses")


def _is_weak(password: object, user: object) -> bool:
    return password is not None and (str(password) in GUESSES or str(password) in ("", str(user)))


def of_roles(patient: Patient) -> Iterator[Finding]:
    """Tried at the database's door: a role's own name, and whether it asks for a password at all."""
    with patient.database():
        given = conninfo_to_dict(patient.database_url)
    if str(given.get("host") or "").startswith("/") or not given.get("host"):
        yield unknown(
            "passwords", "the roles' passwords cannot be tried over a socket, which goes by the user's name"
        )
        return
    opened: list[str] = []
    for role in ROLES:
        for guess in (f"no-{role}-would-have-this", role, role.removeprefix("suyuan_"), *GUESSES):
            if _opens(patient, role, guess):
                opened.append(f"{role} with {'any password' if guess.startswith('no-') else repr(guess)}")
                break
    if opened:
        yield grave(
            patient.production,
            "passwords",
            f"the database lets in {listed(opened)}",
            "ALTER ROLE ... PASSWORD, and scram-sha-256 instead of trust in pg_hba.conf",
        )
    else:
        yield ok("passwords", "the services' roles do not get in with a password that anybody guesses")


def _opens(patient: Patient, role: str, password: str) -> bool:
    try:
        connect(make_conninfo(patient.database_url, user=role, password=password)).close()
    except Away:
        return False
    return True
