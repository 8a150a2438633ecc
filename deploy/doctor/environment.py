"""The settings: names that nobody reads, and values that make no sense."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from deploy.database_url import ENCODE, is_plain
from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from deploy.settings import Settings
from ingest.broker_address import broker_address

NAMES = {f"SUYUAN_{name.upper()}" for name in Settings.model_fields}
_OF_TESTS = ("SUYUAN_TEST_", "SUYUAN_VECTORS")


def read_settings() -> tuple[Settings, list[Finding]]:
    """The settings, with the default in the place of what cannot be read, which is said."""
    try:
        return Settings(), []
    except ValidationError as error:
        bad = {str(problem["loc"][0]): problem["msg"] for problem in error.errors() if problem["loc"]}
    defaults = {name: field.default for name, field in Settings.model_fields.items() if name in bad}
    said = [
        fail(
            "settings",
            f"SUYUAN_{name.upper()} cannot be read: {message}",
            f"no service starts with it; the default is {defaults.get(name)}",
        )
        for name, message in bad.items()
    ]
    return Settings(**defaults), said


def names(patient: Patient) -> Iterator[Finding]:
    unread = sorted(
        name
        for name in patient.environment
        if name.upper().startswith("SUYUAN_") and name.upper() not in NAMES and not name.startswith(_OF_TESTS)
    )
    for name in unread:
        close = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=0.8)
        if close:
            yield fail("settings", f"{name} is no setting, and is not read", f"did you mean {close[0]}?")
        else:
            yield warn("settings", f"{name} is no setting, and is not read", "see deploy/env.example")
    if not unread:
        yield ok("settings", f"every SUYUAN_* name is a setting ({_given(patient.environment)} given)")


def _given(environment: Mapping[str, str]) -> str:
    return listed(sorted(name for name in environment if name.upper() in NAMES), 12) or "none"


def values(patient: Patient) -> Iterator[Finding]:
    """One sentence if all is well, else one for each that is not."""
    found = [*_database_urls(patient), *_broker_url(patient), *_public_url(patient), *_others(patient)]
    yield from found
    if not found:
        kind = "production" if patient.production else "a trial (SUYUAN_PRODUCTION is false)"
        yield ok("settings", f"the values make sense; this is {kind}")


def _database_urls(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    for name, url in (
        ("DATABASE_URL", settings.database_url),
        ("PUBLIC_DATABASE_URL", settings.public_database_url),
    ):
        if url and not is_plain(url):
            yield fail(
                "settings",
                f"SUYUAN_{name} is no connection string, or one that can be read in two ways",
                ENCODE,
            )


def _broker_url(patient: Patient) -> Iterator[Finding]:
    try:
        broker_address(patient.settings.mqtt_url)
    except ValueError as error:
        yield fail(
            "settings",
            f"SUYUAN_MQTT_URL is {error}",
            "write it as mqtt://[user:password@]host:port; TLS needs a tunnel beside it",
        )


def _public_url(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.public_url
    parts = _split(url)
    if "@" in url:
        yield fail(
            "settings",
            "SUYUAN_PUBLIC_URL has a user or a password in it",
            "write it as https://trace.example: every printed code would carry them",
        )
        return
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        yield fail(
            "settings",
            f"SUYUAN_PUBLIC_URL is {url!r}, no address of a web page",
            "write it as https://trace.example",
        )
        return
    if parts.path.strip("/") or parts.query or parts.fragment:
        yield fail(
            "settings",
            f"SUYUAN_PUBLIC_URL {url} has more than a host",
            "GS1 Digital Links begin at the root: leave the path away",
        )
    if patient.production and parts.scheme == "http":
        yield fail(
            "settings",
            f"SUYUAN_PUBLIC_URL {url} is not https",
            "passwords and sessions would travel in clear: put a TLS proxy before the API",
        )
    if patient.production and not _reachable_by_phone(parts.hostname):
        yield fail(
            "settings",
            f"SUYUAN_PUBLIC_URL {url} is no address that a phone reaches",
            "printed codes carry it for ever: use a public name",
        )
    if not patient.production and parts.scheme == "https" and _reachable_by_phone(parts.hostname):
        yield warn(
            "settings",
            f"SUYUAN_PUBLIC_URL {url} is public, and SUYUAN_PRODUCTION is false",
            "if real people use this, say SUYUAN_PRODUCTION=true: the doctor is then strict",
        )


def _others(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if patient.production and settings.log_origin == Settings.model_fields["log_origin"].default:
        yield fail(
            "settings",
            f"SUYUAN_LOG_ORIGIN is the example's, {settings.log_origin}",
            "choose a name of your own before the first log begins: it is fixed then",
        )
    if patient.production and not settings.data_dir.is_absolute():
        yield warn(
            "settings",
            f"SUYUAN_DATA_DIR is {settings.data_dir}, which depends on where a service starts",
            "write the whole path",
        )
    if not settings.data_dir.is_dir():
        yield fail(
            "settings",
            f"SUYUAN_DATA_DIR {settings.data_dir.absolute()} is no folder",
            "make it, for the user that the services run as, or name another",
        )


def _reachable_by_phone(host: str) -> bool:
    """False for loopback, private and link-local addresses, and for names that no public name server has."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        return "." in name and not name.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, since reading it is what raises
        return parts
    except ValueError:
        return None
