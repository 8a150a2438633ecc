"""The documents are true: settings, topics, reasons, commands, endpoints and links are those of the code, and every
example of `docs/wire.md` is run.

A document that says what is no longer so fails here, by name and line.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import click
import psycopg
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range
from psycopg_pool import ConnectionPool

from deploy.command import main
from deploy.settings import Settings
from ingest import gaps
from ingest.admission import FLAG_SERVER_TIME, FLAG_UNIT_STORED, Admitted, admit, window_at
from ingest.decoding import decode
from ingest.intake import Intake
from ingest.pipeline import Line, Message
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry, RegistryDocument, joined, line_of, original, parse_registry
from ingest.sequences import receipt
from ingest.sparkplug import entering
from ingest.sparkplug import session as sparkplug
from ingest.wire import (
    cayenne,
    chirpstack,
    chirpstack_event,
    epcis,
    profile_reading,
    senml,
    senml_cbor,
    teltonika,
    topics,
)
from ingest.wire import sparkplug as sparkplug_wire
from ingest.wire.errors import WireError
from ingest.wire.sparkplug import Payload
from ingest.wire.sparkplug_topics import SparkplugAddress
from ledger.persons import NOBODY
from tests.documents import DOCS, REPOSITORY, Fence, fences, markdown_files, without_fences
from tests.vectors import count_vectors, vector_path
from trace_api.access import Databases
from trace_api.app import Configuration, create_app
from trace_api.words import CATALOGUES

WIRE = DOCS / "wire.md"
RECEIVED_AT = datetime(2026, 6, 19, 2, 0, 5, tzinfo=UTC)
TOPIC = "suyuan/v1/carrier-1/truck-1/{kind}"
FILES = markdown_files()


def marked(*kinds: str) -> list[Fence]:
    return [fence for fence in fences(WIRE) if fence.words[:1] in {(kind,) for kind in kinds}]


def named(found: Iterable[Fence]) -> dict[str, Any]:
    """For `pytest.mark.parametrize`: the fences, under the names a failure shows."""
    listed = list(found)
    return {"argvalues": listed, "ids": [f"{fence.name}-{'-'.join(fence.words)}" for fence in listed]}


def schema(name: str) -> Draft202012Validator:
    read = json.loads((DOCS / "wire" / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(read)
    return Draft202012Validator(read)


def wire_text() -> str:
    return WIRE.read_text(encoding="utf-8")


# --- the wire: examples -------------------------------------------------------------------------------------------


class OneRegistry:
    """Answers the questions that a `Registry` asks its connection, from the document's example."""

    def __init__(self, document: RegistryDocument) -> None:
        self._document = document

    def execute(self, query: str, _values: object = None) -> list[tuple[Any, ...]]:
        if "registry_version" in query:
            return [(1,)]
        if "FROM device" not in query:
            return [(organisation.id,) for organisation in self._document.organisations]
        rows: list[tuple[Any, ...]] = []
        for number, device in enumerate(self._document.devices, start=1):
            own = (
                number,
                device.organisation,
                device.id,
                device.giai,
                device.interval_s,
                device.scheme,
                device.profile,
            )
            for channel in joined(device.channels):
                stored = astuple(line_of(channel))
                rows.append((*own, len(rows) + 1, channel.channel, *stored))
        return rows


@cache
def line() -> Line:
    (example,) = marked("registry")
    registry = Registry(lambda: 0.0)
    registry.read(cast(psycopg.Connection, OneRegistry(parse_registry(example.text))))
    return Line(
        "docs", registry, MonthlyKeys(Path("never")), timedelta(days=Settings().retention_days), NOBODY
    )


def admitted(fence: Fence) -> Admitted:
    topic = fence.after("topic=") or TOPIC.format(kind=fence.words[0])
    message = Message(topic.encode(), fence.payload, redelivered=False)
    worker = line()
    window = window_at(RECEIVED_AT, worker.retention)
    return admit(
        decode(0, message, window.received_ms, worker.registry, worker.profiles), worker.registry, window
    )


def taken(found: Admitted) -> int:
    return len(found.readings) + len(found.observations) + len(found.events)


MESSAGES = ("readings", "events", "uplink", "raw", "teltonika")
EXAMPLES = marked(*MESSAGES)


@pytest.mark.parametrize("fence", **named(EXAMPLES))
def test_each_example_of_a_message_does_what_its_marker_says(fence: Fence) -> None:
    found = admitted(fence)
    reasons = {refusal.reason for refusal in found.refusals}
    if "ok" in fence.flags:
        assert not reasons and taken(found) > 0
    elif (refused := fence.after("refused:")) is not None:
        assert reasons == {refused} and taken(found) == 0
    else:
        assert reasons == set(str(fence.after("partly:")).split(",")) and taken(found) > 0
    assert all(len(refusal.detail) > 15 for refusal in found.refusals), "a sentence a person understands"


def test_the_long_example_is_what_the_text_says_of_it() -> None:
    found = admitted(marked("readings")[0])
    channels = {series.id: name for name, series in found.readings[0].device.series.items()}
    values = sorted((channels[item.series], item.time_ms, item.value) for item in found.readings)
    start = 1_781_834_340_000
    assert values == [
        ("door", start + 30_000, 1.0),
        ("return_air", start, 2.31),
        ("return_air", start + 60_000, 2.4),
    ]
    (position,) = found.observations
    assert (channels[position.series], position.time_ms) == ("position", start + 60_000)
    assert position.body == {"latitude": 28.85, "longitude": 120.7}


def test_the_example_in_other_units_is_stored_in_one_of_each_quantity() -> None:
    (fence,) = (fence for fence in EXAMPLES if b"degF" in fence.payload and "ok" in fence.flags)
    found = admitted(fence)
    device = found.device
    assert device is not None
    channels = {series.id: series for series in device.series.values()}
    values = [
        (channels[item.series].channel, item.value, channels[item.series].unit) for item in found.readings
    ]
    assert values == [
        ("pulp", 3.5, "Cel"),
        ("pulp", 3.7, "Cel"),
        ("battery", 3.123, "V"),
        ("ethylene", 0.3, "ppm"),
    ]
    assert [original(channels[item.series], item.value) for item in found.readings] == [
        38.3,
        38.66,
        3123,
        57.5,
    ]
    assert {item.flags for item in found.readings} == {0}
    (partly,) = (fence for fence in EXAMPLES if b"276.65" in fence.payload)
    (as_stored,) = admitted(partly).readings
    assert (as_stored.value, as_stored.flags) == (3.5, FLAG_UNIT_STORED)


@pytest.mark.parametrize(
    "fence", **named(fence for fence in EXAMPLES if fence.words[:2] == ("readings", "ok"))
)
def test_good_packs_are_good_by_their_schema_and_number_as_they_say(fence: Fence) -> None:
    if fence.language == "json":
        schema("senml-pack.schema.json").validate(json.loads(fence.text))
    pack = senml.decode(fence.payload, "truck-1", round(RECEIVED_AT.timestamp() * 1000))
    assert (pack.seq is None) == ("no-sequence" in fence.flags)
    assert pack.server_time == ("server-time" in fence.flags)
    flagged = {bool(item.flags & FLAG_SERVER_TIME) for item in admitted(fence).readings}
    assert flagged == {"server-time" in fence.flags}


@pytest.mark.parametrize(
    "fence", **named(fence for fence in EXAMPLES if fence.words[1:2] == ("refused:malformed_senml",))
)
def test_malformed_packs_are_so_by_their_schema_as_far_as_a_schema_can_say(fence: Fence) -> None:
    pack = json.loads(fence.text)
    names = {record["n"] for record in pack} if isinstance(pack, list) else set()
    assert not schema("senml-pack.schema.json").is_valid(pack) or len(names & {"boot", "seq"}) == 1


def test_the_example_in_cbor_says_what_stands_beside_it() -> None:
    """And the table of its labels is the one of the code."""
    (fence,) = (
        fence for fence in EXAMPLES if fence.language == "cbor" and fence.words[:2] == ("readings", "ok")
    )
    remarks = " ".join(line.partition("#")[2] for line in fence.text.splitlines())
    records = remarks.replace("six records", "").replace("24 x 10^-1", "2.4")
    read = json.loads("[" + re.sub(r"\}\s+\{", "}, {", records) + "]")
    as_json, received_ms = json.dumps(read).encode(), round(RECEIVED_AT.timestamp() * 1000)
    assert senml.decode(fence.payload, "truck-1", received_ms) == senml.decode(
        as_json, "truck-1", received_ms
    )
    labels, numbers = re.findall(r"^\| (?:label|in CBOR) (\|.*)\|$", wire_text(), re.MULTILINE)
    table = {
        int(number): label.strip(" `")
        for label, number in zip(labels.split("|")[1:], numbers.split("|")[1:], strict=True)
    }
    assert table == senml_cbor.LABELS


@pytest.mark.parametrize("fence", **named(marked("command")))
def test_a_request_to_send_again_is_written_as_the_document_says(fence: Fence) -> None:
    said = json.loads(fence.text)
    ranges = [(first, last) for first, last in said["resend"]["ranges"]]
    assert {"id": said["id"]} | gaps.request(said["resend"]["boot"], reversed(ranges)) == said


@pytest.mark.parametrize("fence", **named(marked("receipt")))
def test_receipts_are_those_the_line_makes(fence: Fence) -> None:
    said = json.loads(fence.text)
    schema("receipt.schema.json").validate(said)
    boot, _, held = str(fence.after("held=")).partition(":")
    ranges = [
        Int8Range(int(first), int(last) + 1) for first, last in (part.split("-") for part in held.split(","))
    ]
    made = receipt(1, int(boot), Int8Multirange(ranges))
    assert said == {"boot": made.boot, "through": made.through, "gaps": [list(gap) for gap in made.gaps]}


def test_the_registry_example_is_good_by_its_schema() -> None:
    (example,) = marked("registry")
    schema("registry.schema.json").validate(json.loads(example.text))


def test_the_registry_schema_has_the_fields_of_the_model() -> None:
    theirs = RegistryDocument.model_json_schema()["$defs"]
    ours = json.loads((DOCS / "wire/registry.schema.json").read_text(encoding="utf-8"))["$defs"]
    for name, definition in ours.items():
        model = theirs["Name" if name == "name" else f"{name.capitalize()}Entry"]
        assert set(definition["properties"]) == set(model["properties"]), name
        assert set(definition["required"]) == set(model["required"]), name


@pytest.mark.parametrize("fence", **named(marked("topic")))
def test_topics_are_taken_or_refused_as_said(fence: Fence) -> None:
    topic = fence.text.strip().encode("latin-1").decode("unicode_escape").encode("latin-1")
    try:
        topics.parse_topic(topic)
        outcome = "ok"
    except WireError as error:
        outcome = f"refused:{error.reason}"
    assert (outcome,) == fence.words[1:]


@cache
def heard() -> dict[str, Intake]:
    """What becomes of each Sparkplug example, one after the other as they stand."""
    found: dict[str, Intake] = {}
    node: sparkplug.Node | None = None
    for fence in marked("sparkplug"):
        message = Message(str(fence.after("topic=")).encode(), fence.payload, redelivered=False)

        def read(address: SparkplugAddress, payload: Payload | WireError) -> entering.Said:
            nonlocal node
            if isinstance(payload, WireError):
                return payload
            digest = str(len(found)).rjust(sparkplug.DIGEST_BYTES).encode()
            step = sparkplug.take(node, address, payload, digest, RECEIVED_AT, redelivered=False)
            node = step.node
            return step.said

        item = entering.hear(message)
        batch = Intake(RECEIVED_AT, line().retention)
        window = window_at(RECEIVED_AT, line().retention)
        entering.enter(batch, item, entering.say(item, read), line().registry, window, lambda: None)
        found[fence.name] = batch
    return found


@pytest.mark.parametrize("fence", **named(marked("sparkplug")))
def test_each_sparkplug_example_does_what_its_marker_says(fence: Fence) -> None:
    found = heard()[fence.name]
    reasons = {refusal.reason for refusal in found.refusals}
    if "ok" in fence.flags:
        assert not reasons and found.reading_count > 0
    elif (refused := fence.after("refused:")) is not None:
        assert reasons == {refused} and found.reading_count == 0
    else:
        assert reasons == set(str(fence.after("partly:")).split(",")) and found.reading_count > 0
    assert all(len(refusal.detail) > 15 for refusal in found.refusals), "a sentence a person understands"


def test_the_first_sparkplug_examples_are_what_stands_beside_them() -> None:
    told = []
    for fence in marked("sparkplug")[:2]:
        found = heard()[fence.name]
        ((_, device),) = found.devices.items()
        channels = {series.id: name for name, series in device.series.items()}
        columns = found.readings()
        told += [
            (channels[series], time_ms, value)
            for series, time_ms, value in zip(
                columns.series.tolist(), columns.time_ms.tolist(), columns.value.tolist(), strict=True
            )
        ]
    sent_ms = 1_781_834_400_000
    assert told == [
        ("Temperature/Pulp", sent_ms - 60_000, 2.31),
        ("Door", sent_ms, 0.0),
        ("Temperature/Pulp", sent_ms + 1000, 2.4),
        ("Door", sent_ms + 1000, 1.0),
    ]


def test_the_request_for_a_birth_is_the_one_that_is_sent() -> None:
    (fence,) = marked("rebirth")
    assert fence.payload == sparkplug_wire.rebirth_request(int(str(fence.after("sent="))))


def test_no_example_goes_untested() -> None:
    """A marker with a typing mistake would otherwise be an example nobody runs."""
    known = {*MESSAGES, "receipt", "registry", "topic", "sparkplug", "rebirth", "command"}
    assert [fence.name for fence in fences(WIRE) if fence.words[:1] not in {(kind,) for kind in known}] == []
    outcomes = [fence.words[1] for fence in marked(*MESSAGES, "topic")]
    outcomes += [fence.words[2] for fence in marked("sparkplug")]
    assert [
        word for word in outcomes if word != "ok" and word.split(":")[0] not in ("refused", "partly")
    ] == []


# --- the wire: words ----------------------------------------------------------------------------------------------


def test_the_topics_are_those_of_the_code() -> None:
    in_document = set(re.findall(r"^\| `(suyuan/v1/\{org\}/\{device\}/\w+)`", wire_text(), re.MULTILINE))
    named_in_code = {f"{topics.ROOT}/{{org}}/{{device}}/{kind}" for kind in topics.KINDS_IN}
    assert (
        named_in_code
        | {topics.receipt_topic("{org}", "{device}")}
        | {f"{topics.ROOT}/{{org}}/{{device}}/{reserved}" for reserved in ("cmd", "status")}
        == in_document
    )
    read = {pattern.rpartition("/")[2] for pattern in topics.subscriptions("group")}
    assert read == {*topics.KINDS_IN, "up"}, "the document says that nothing else is read"
    uplinks = topics.UPLINKS.replace("+", "{application}", 1).replace("+", "{devEUI}", 1)
    assert f"\n| `{uplinks}` | from ChirpStack |" in wire_text()


def test_the_reasons_are_those_of_the_code() -> None:
    in_document = set(re.findall(r"^\| `(\w+)` \| [a-z, ]+ \|", wire_text(), re.MULTILINE))
    assert in_document == set(reasons_in_code())


def test_most_reasons_have_an_example() -> None:
    shown = {reason for fence in marked(*MESSAGES, "topic", "sparkplug") for word in fence.words[1:]
             for reason in word.partition(":")[2].split(",")}  # fmt: skip
    shown_by_other_tests = {"too_large", "conflict", "database_refused", "decoder_fault", "wrong_kind"}
    assert set(reasons_in_code()) - shown == shown_by_other_tests


def test_sizes_and_bounds_are_those_of_the_code() -> None:
    text = wire_text()
    assert f"{senml.MAX_BYTES:,} bytes" in text and senml.MAX_BYTES == epcis.MAX_BYTES
    assert f"{senml.MAX_RECORDS:,} records" in text
    assert f"`SUYUAN_RETENTION_DAYS` ({Settings().retention_days})" in text
    assert f"An event has at most {chirpstack_event.MAX_BYTES:,} bytes" in text
    assert f"{chirpstack.MAX_MEMBERS:,} members, {chirpstack_event.MAX_DEPTH} deep" in text
    assert (
        f"At most {profile_reading.MAX_BYTES:,} bytes" in text
        and profile_reading.MAX_BYTES == cayenne.MAX_BYTES
    )
    assert f"At most {teltonika.MAX_BYTES:,}\nbytes" in text
    assert senml.RELATIVE_BELOW == 2**28
    assert json.loads((DOCS / "wire/senml-pack.schema.json").read_text())["maxItems"] == senml.MAX_RECORDS


def reasons_in_code() -> Iterator[str]:
    """Every reason that the line can give, read from the calls that give it; a call it cannot read fails."""
    for path in [
        *sorted((REPOSITORY / "ingest/wire").glob("*.py")),
        *sorted((REPOSITORY / "ingest/sparkplug").glob("*.py")),
        *(REPOSITORY / f"ingest/{name}.py" for name in ("admission", "decoding", "pipeline")),
    ]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ("WireError", "Refusal")
                ):
                    given = node.args[0] if node.func.id == "WireError" else node.args[5]
                    found = list(_reasons(given, function, functions))
                    assert found or _is_handed_on(given), (
                        f"{path.name}, line {node.lineno}: which reason is that?"
                    )
                    yield from found


def _reasons(given: ast.expr, inside: ast.FunctionDef, functions: list[ast.FunctionDef]) -> Iterator[str]:
    match given:
        case ast.Constant(value=str(reason)):
            yield reason
        case ast.IfExp(body=one, orelse=other):
            yield from _reasons(one, inside, functions)
            yield from _reasons(other, inside, functions)
        case ast.Name(id=name):
            for node in ast.walk(inside):
                if isinstance(node, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == name for target in node.targets
                ):
                    yield from _reasons(node.value, inside, functions)
        case ast.Starred(value=ast.Call(func=ast.Name(id=name))):
            for function in functions:
                if function.name == name:
                    for node in ast.walk(function):
                        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                            yield from _reasons(node.value.elts[0], function, functions)


def _is_handed_on(given: ast.expr) -> bool:
    """`error.reason`: given where the error was made."""
    return isinstance(given, ast.Attribute) and given.attr == "reason"


# --- settings, commands, endpoints --------------------------------------------------------------------------------


def test_env_example_is_the_settings() -> None:
    text = (REPOSITORY / "deploy/env.example").read_text(encoding="utf-8")
    in_file = re.findall(r"^# (.+)\n(SUYUAN_\w+)=(.*)$", text, re.MULTILINE)
    in_code = [
        (
            field.description,
            f"SUYUAN_{name.upper()}",
            str(field.default).replace("False", "false").replace("True", "true"),
        )
        for name, field in Settings.model_fields.items()
    ]
    assert in_file == in_code
    assert text.count("=") == len(in_code), "a line that no setting reads"


def test_settings_named_in_documents_exist() -> None:
    known = {f"SUYUAN_{name.upper()}" for name in Settings.model_fields}
    of_tests = {"SUYUAN_VECTORS"} | {
        f"SUYUAN_TEST_{name}" for name in ("ALL_FAULTS", "CONTEND_S", "DATABASE_URL", "EDITIONS", "MQTT_URL")
    }
    said = {
        name for path in FILES for name in re.findall(r"SUYUAN_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert said - known - of_tests == set()


def code_in(path: Path) -> Iterator[str]:
    """Code spans and the lines of shell blocks."""
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r"`([^`\n]+)`", without_fences(text))
    for fence in fences(path):
        if fence.language in ("sh", "shell", "bash"):
            yield from fence.text.replace("\\\n", " ").splitlines()


def options_of(command: click.Command) -> Iterator[str]:
    """Its own, and those of the commands below it."""
    for parameter in command.params:
        yield from parameter.opts
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options_of(below)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_exist_with_their_options(path: Path) -> None:
    for code in code_in(path):
        for name, rest in re.findall(r"(?:^|\s)suyuan ([a-z][a-z-]*)([^|#]*)", code):
            assert isinstance(main, click.Group)
            command = main.commands.get(name)
            assert command is not None, f"{path.name}: there is no `suyuan {name}`"
            known = set(options_of(command)) | {"--help"}
            assert set(re.findall(r"(--[a-z][a-z-]*)", rest)) <= known, f"{path.name}: {code}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_make_targets_exist_and_demo_arguments_too(path: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for code in code_in(path):
        for name in re.findall(r"(?:^|\s)make ([a-z]+)", code):
            assert name in targets, f"{path.name}: there is no `make {name}`"
        for arguments in re.findall(r'DEMO_ARGS="([^"]*)"', code):
            options = {option for parameter in main.commands["demo"].params for option in parameter.opts} | {
                "--help"
            }
            assert set(re.findall(r"--[a-z-]+", arguments)) <= options, f"{path.name}: {code}"


def test_the_readme_has_the_two_commands() -> None:
    lines = {
        line.split("#")[0].strip()
        for fence in fences(REPOSITORY / "README.md")
        for line in fence.text.splitlines()
    }
    wanted = {
        "make demo",
        "make test",
        'make demo DEMO_ARGS="--exit-after 60 --json"',
        "SUYUAN_VECTORS=../shared/vectors make test",
    }
    assert wanted <= lines


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application with pools that never open: its routes need no database."""
    pool = ConnectionPool("", open=False)
    folder = tmp_path_factory.mktemp("log")
    configuration = Configuration("http://127.0.0.1:8080", folder, lambda _organisation: bytes(32))
    return create_app(Databases(pool, pool), configuration, lambda: datetime.now(UTC))


_ADDRESS = re.compile(
    r"^(?:(GET|POST|PUT|DELETE) )?(?:https?://127\.0\.0\.1:\d+)?(/[A-Za-z0-9_{}./<>\[\]-]*)$"
)
_ROOTS = (
    "/api/",
    "/epcis",
    "/log/",
    "/01/",
    "/00/",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/web/",
    "/metrics",
)


def addresses(path: Path) -> Iterator[tuple[str | None, str]]:
    for code in code_in(path):
        match = _ADDRESS.match(code)
        if match and (match[1] or match[2].startswith(_ROOTS)):
            yield match[1], match[2].rstrip("/")


def answers(app: FastAPI, method: str | None, address: str) -> bool:
    """A path of the document, parameters in braces, is one of the application's, or the beginning of one."""
    paths: dict[str, dict[str, Any]] = {**app.openapi()["paths"], "/openapi.json": {"get": {}}}
    for template, operations in paths.items():
        pattern = re.sub(r"\\\{\w*path\w*\\\}", ".+", re.escape(template))
        pattern = re.sub(r"\\\{code\\\}", r".+", pattern)
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/]+", pattern)
        if re.fullmatch(pattern, address) and (method is None or method.lower() in operations):
            return True
    return method is None and any(template.startswith(address + "/") for template in paths)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_endpoints_exist(app: FastAPI, path: Path) -> None:
    assert [found for found in addresses(path) if not answers(app, *found)] == []


def test_an_endpoint_that_is_not_there_is_noticed(app: FastAPI) -> None:
    assert answers(app, "GET", "/api/v1/lots/{id}/trace") and answers(app, None, "/01/{gtin}/10/{lot}")
    assert not answers(app, "POST", "/api/v1/lots/{id}/trace")
    assert not answers(app, "GET", "/api/v1/lots/{id}/price") and not answers(app, None, "/metrics")


# --- links ----------------------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """A heading's anchor as GitHub and GitLab make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text.replace("`", "")).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    prose = without_fences(path.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}


def links(path: Path) -> Iterator[str]:
    prose = without_fences(path.read_text(encoding="utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", prose)
    yield from re.findall(r'(?:src|href)="([^"]+)"', prose)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_links_within_the_repository_resolve(path: Path) -> None:
    broken = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_and_functions_named_in_documents_exist(path: Path) -> None:
    """`ingest/pipeline.py` is a file; `ingest/pipeline.py:admit` names something in it."""
    missing = []
    for code in code_in(path):
        match = re.fullmatch(
            r"((?:ledger|ingest|trace_api|simulators|deploy|tests|docs)/[\w./-]*)(?::([\w.]+))?", code
        )
        if match and (
            not (REPOSITORY / match[1]).exists()
            or (match[2] and not _defines(REPOSITORY / match[1], match[2]))
        ):
            missing.append(code)
    assert missing == []


def _defines(path: Path, name: str) -> bool:
    """`serve`, `Line`, `Subscriber.acknowledge`, `_COPY_ROW`; for SQL and the like: the word stands in it."""
    if path.suffix != ".py":
        return re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8")) is not None
    inside: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        node = next((node for node in inside if part in _names(node)), None)
        if node is None:
            return False
        inside = node.body if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    return True


def _names(node: ast.stmt) -> Iterable[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
    return ()


def test_the_tables_are_those_of_the_schema() -> None:
    said = set(re.findall(r"\w+", (DOCS / "invariants.md").read_text(encoding="utf-8")))
    schema_files = sorted((REPOSITORY / "deploy/schema").glob("*.sql"))
    tables = set[str]()
    for path in schema_files:
        text = path.read_text(encoding="utf-8")
        tables |= set(re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE))
        tables -= set(re.findall(r"^DROP TABLE (\w+)", text, re.MULTILINE))
    assert tables and tables - said == set()


# --- the glossary, and the page of who may lie ---------------------------------------------------------------------------


def rows(path: Path) -> Iterator[list[str]]:
    """The cells of every row of every table, without headings."""
    lines = without_fences(path.read_text(encoding="utf-8")).splitlines()
    for before, line in pairwise(lines):
        is_heading = set(line) <= set("|-: ") or not before.startswith("|")
        if line.startswith("|") and not is_heading:
            yield [cell.strip() for cell in line.strip("|").split("|")]


GLOSSARY = list(rows(DOCS / "glossary.md"))


def rooms_text() -> str:
    rooms = ("ledger", "ingest", "trace_api", "deploy")
    paths = [path for room in rooms for kind in ("*.py", "*.sql") for path in (REPOSITORY / room).rglob(kind)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_every_name_of_the_glossary_is_one_of_the_code() -> None:
    words = set(re.findall(r"\w+", rooms_text()))
    named = [name for row in GLOSSARY for name in re.findall(r"`(\w+)`", row[0])]
    assert len(named) > 60 and sorted(set(named)) == sorted(named), "each name once"
    assert [name for name in named if name not in words] == []


def test_the_chinese_terms_are_those_of_the_pages() -> None:
    """A term without an entry of the catalogues is none that a page needs; one that a page uses is found there."""
    missing = []
    for name, term, key, *_ in GLOSSARY:
        assert bool(term) == bool(key), f"{name}: a term and where it stands, or neither"
        if key and term not in (said := CATALOGUES["zh"][key.strip("`")]):
            missing.append(f"{name}: {term} is not in {key}: {said}")
    assert missing == []
    assert sum(bool(row[1]) for row in GLOSSARY) > 30


def test_every_row_of_who_may_lie_names_what_shows_it() -> None:
    found = list(rows(DOCS / "threat-model.md"))
    assert len(found) > 25
    shown = [row[-1] for row in found]
    assert [
        cell for cell in shown if not ("not shown" in cell or re.search(r"`tests/[\w/.]+:test_\w+`", cell))
    ] == []


# --- the list of what a Sparkplug host must do -------------------------------------------------------------------------

OF_HOSTS = re.compile(
    r"intro-sparkplug-host-state|components-ph-state|conformance-primary-host|principles-birth-certificates-order"
    r"|host-topic-phid-.*|message-flow-p?hid-sparkplug-.*|operational-behavior-host-.*|payloads-ddeath-seq-number"
    r"|operational-behavior-edge-node-termination-host-action-.*|payloads-state-.*"
    r"|operational-behavior-primary-application-state-with-multiple-servers-state(-subs)?"
    r"|operational-behavior-data-commands-[nd]cmd-.*|(payloads|topics)-[nd]cmd-.*"
)


def test_every_assertion_on_a_sparkplug_host_is_answered_once() -> None:
    answers_to = [row[0].strip("`") for row in rows(DOCS / "sparkplug-host.md")]
    listed = vector_path("iot/sparkplug/tck_assertions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ids = [line.split("\t")[0].removeprefix("tck-id-") for line in listed]
    wanted = [name for name in ids if OF_HOSTS.fullmatch(name)]
    found = {name: [answer for answer in answers_to if fnmatchcase(name, answer)] for name in wanted}
    assert {name: answers for name, answers in found.items() if len(answers) != 1} == {}
    assert {answer for answers in found.values() for answer in answers} == set(answers_to)
    count_vectors(len(found))


# --- the README in Chinese ---------------------------------------------------------------------------------------------


def test_both_readmes_have_the_same_blocks_links_and_tables() -> None:
    """Commands and settings are typed as they stand, in whichever language they were read."""
    english, chinese = REPOSITORY / "README.md", REPOSITORY / "README.zh-CN.md"
    assert [commands(fence) for fence in fences(english)] == [commands(fence) for fence in fences(chinese)]
    other = {"README.zh-CN.md", "README.md"}
    assert [link for link in links(english) if link not in other and not link.startswith("#")] == [
        link for link in links(chinese) if link not in other and not link.startswith("#")
    ]
    assert [len(row) for row in rows(english)] == [len(row) for row in rows(chinese)]
    assert len(anchors(english)) == len(anchors(chinese))


def commands(fence: Fence) -> list[str]:
    """The lines of a block without their comments, which are in the document's language."""
    return [code for line in fence.text.splitlines() if (code := re.split(r"\s+#|^#", line)[0].rstrip())]


def test_the_chinese_readme_is_in_chinese() -> None:
    prose = re.sub(
        r"`[^`]*`|\(http[^)]*\)",
        "",
        without_fences((REPOSITORY / "README.zh-CN.md").read_text(encoding="utf-8")),
    )
    for paragraph in prose.split("\n\n"):
        letters = len(re.findall(r"[A-Za-z]", paragraph))
        assert letters < 60 or len(re.findall(r"[\u4e00-\u9fff]", paragraph)) > letters / 3, paragraph


DECISIONS = sorted((DOCS / "decisions").glob("*.md"))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_each_decision_says_its_price(path: Path) -> None:
    headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Downside", "What would change it"]


Check = Callable[[Path], None]
