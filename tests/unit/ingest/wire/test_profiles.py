"""Profiles: every sensor of the vectors is a file, a new sensor is a file, and a file that is wrong says where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from ingest.wire.errors import WireError
from ingest.wire.members import by, of_object
from ingest.wire.profile import FieldEntry, Item, MessageEntry, Profile, ProfileError, TimeEntry
from ingest.wire.profile_reading import read
from ingest.wire.profiles import SHIPPED, Profiles, load, parse
from ingest.wire.samples import Sample, measured
from tests.documents import DOCS, Fence, fences
from tests.vectors import count_vectors, vector_path

# What the vendors' own decoders call a number, and the channel and factor of the profile shipped.
CHANNELS: dict[str, dict[str, tuple[str, float]]] = {
    "dragino-lht65": {
        "BatV": ("battery", 1),
        "TempC_SHT": ("temperature", 1),
        "Hum_SHT": ("humidity", 1),
        "TempC_DS": ("probe", 1),
    },
    "dragino-lse01": {
        "Bat": ("battery", 1),
        "TempC_DS18B20": ("probe", 1),
        "water_SOIL": ("soil_moisture", 1),
        "temp_SOIL": ("soil_temperature", 1),
        "conduct_SOIL": ("soil_conductivity", 1),
    },
    "dragino-ltc2": {
        "BatV": ("battery", 1),
        "Temp_Channel1": ("probe_1", 1),
        "Temp_Channel2": ("probe_2", 1),
    },
    "milesight-em300-th": {
        "battery": ("battery", 1),
        "temperature": ("temperature", 1),
        "humidity": ("humidity", 1),
    },
}
# What a vendor's decoder says that is no number: the profile has it as a text, a condition or a time.
OTHERWISE = {
    "dragino-lht65": {
        "Bat_status": ("battery_status", "good"),
        "Ext_sensor": ("external_sensor", "temperature"),
    },
    "dragino-ltc2": {"Ext": None, "Systimestamp": None},
}


def vectors() -> list[tuple[str, dict[str, Any]]]:
    found = json.loads(vector_path("iot/lorawan/device_vectors.json").read_text())
    return [(f"{item['vendor'].removesuffix('-iot')}-{item['model'].lower()}", item) for item in found]


@pytest.mark.parametrize(("name", "vector"), vectors())
def test_a_sensor_of_the_vectors_says_by_its_file_what_its_vendor_says(
    name: str, vector: dict[str, Any]
) -> None:
    samples = read(load().known[name], bytes.fromhex(vector["hex"]), vector["fPort"])
    numbers = {sample.name: sample.value for sample in samples if sample.value is not None}
    texts = {sample.name: sample.text for sample in samples if sample.text is not None}
    others = OTHERWISE.get(name, {})
    assert set(vector["decoded"]) == {*CHANNELS[name], *others}, (
        "nothing the vendor's decoder says is left out"
    )
    assert numbers == {
        channel: float(vector["decoded"][said]) * factor for said, (channel, factor) in CHANNELS[name].items()
    }
    assert texts == dict(pair for pair in others.values() if pair is not None)
    time_ms = vector["decoded"].get("Systimestamp")
    assert {sample.time_ms for sample in samples} == {time_ms * 1000 if time_ms else None}
    count_vectors()


@pytest.mark.parametrize(("name", "vector"), [pair for pair in vectors() if pair[1]["error_case"]])
def test_a_port_of_nobody_is_refused_as_the_vendor_does(name: str, vector: dict[str, Any]) -> None:
    with pytest.raises(WireError) as found:
        read(load().known[name], bytes.fromhex(vector["hex"]), vector["error_case"]["fPort"])
    assert found.value.reason == "unknown_port"
    count_vectors()


@pytest.mark.parametrize(("name", "vector"), vectors())
def test_a_payload_of_another_length_is_refused(name: str, vector: dict[str, Any]) -> None:
    """Every byte is accounted for: what is left over may be a measurement."""
    payload = bytes.fromhex(vector["hex"])
    for other in (payload[:-1], payload + b"\0"):
        with pytest.raises(WireError) as found:
            read(load().known[name], other, vector["fPort"])
        assert found.value.reason in ("malformed_payload", "truncated")


def test_numbers_that_a_network_server_gives_as_strings_are_numbers() -> None:
    (vector,) = (item for name, item in vectors() if name == "dragino-lse01")
    samples = list(of_object(vector["decoded"].items(), {}))
    assert {sample.name: sample.value for sample in samples} == {
        "Bat": 3.625, "TempC_DS18B20": 24.1, "conduct_SOIL": 28200.0, "temp_SOIL": 24.59, "water_SOIL": 19.57
    }  # fmt: skip
    kept = list(of_object({"label": "0042"}.items(), {"label": "text"}))
    assert [(sample.text, sample.value) for sample in kept] == [("0042", None)]


@pytest.mark.parametrize("text", ["24,1", "1e", "0x10", "inf", "nan", "", "1_000", "१"])
def test_other_strings_are_texts(text: str) -> None:
    (sample,) = of_object([("x", text)], {})
    assert sample.text == text and sample.value is None


# --- a sensor of one's own ------------------------------------------------------------------------------------------

# "Frosty F1": a probe in a cold store. Little endian; the clock first, then the probe as a float, a door and a fault bit in one
# byte, a set point in half degrees with its sign in 7 bits, a fan by number, and where it hangs. Every hour a log.
FROSTY = {
    "profile": "frosty-f1",
    "vendor": "Frosty",
    "model": "F1",
    "messages": [
        {
            "f_port": 7, "order": "little", "length": 20,
            "when": [{"byte": 19, "equals": ["0xa5"]}],
            "time": {"byte": 0, "length": 4, "invalid": [0, "0xffffffff"]},
            "fields": [
                {"channel": "pulp", "quantity": "temperature", "unit": "degF", "byte": 4, "length": 4, "type": "float"},
                {"channel": "door", "quantity": "boolean", "unit": "/", "byte": 8, "shift": 7},
                {"channel": "set_point", "quantity": "set_point", "unit": "Cel", "byte": 8, "bits": 7, "type": "signed", "scale": 0.5,
                 "offset": 1.25},
                {"channel": "fan", "quantity": "text", "byte": 9, "words": {"0": "off", "1": "on"}},
                {"channel": "co2", "quantity": "co2", "unit": "ppm", "byte": 10, "length": 2, "order": "big", "invalid": ["0xffff"],
                 "when": [{"byte": 9, "equals": [1]}]},
                {"channel": "lat", "quantity": "latitude", "unit": "lat", "byte": 12, "length": 3, "type": "signed", "scale": 1e-4},
                {"channel": "lon", "quantity": "longitude", "unit": "lon", "byte": 15, "length": 4, "type": "signed", "scale": 1e-6},
            ],
        },
        {
            "f_port": 8, "length": 6, "repeat": True, "time": {"byte": 0, "length": 4},
            "fields": [{"channel": "pulp", "quantity": "temperature", "unit": "Cel", "byte": 4, "length": 2, "type": "signed", "scale": 0.01}],
        },
    ],
}  # fmt: skip


def frosty() -> Profile:
    return parse(json.dumps(FROSTY).encode(), "frosty-f1.json")


def test_a_new_sensor_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "frosty-f1.json").write_text(json.dumps(FROSTY))
    profiles = load(tmp_path)
    assert "frosty-f1" in profiles.known and "dragino-lht65" in profiles.known and profiles.refused == {}
    payload = bytes.fromhex("64a2346a 00000c42 fe 01 01f4f4660460bc3107a5")
    samples = read(profiles.known["frosty-f1"], payload, 7)
    found = {record.channel: record for record in measured(samples, {}, 0)}
    assert {record.time_ms for record in found.values()} == {1_781_834_340_000}
    assert {
        name: (record.value, record.unit) for name, record in found.items() if record.value is not None
    } == {
        "pulp": (35.0, "degF"),
        "door": (1.0, "/"),
        "set_point": (0.25, "Cel"),
        "co2": (500.0, "ppm"),
    }
    assert found["fan"].text == "on" and found["position"].position == (28.85, 120.7)


def test_a_sensor_without_a_value_or_without_a_clock() -> None:
    """Fan off: no CO2 by the condition. A probe that is not a number, and a clock never set, say that there is none."""
    samples = read(frosty(), bytes.fromhex("00000000 0000c07f 00 00 ffff00000000000000a5"), 7)
    assert [sample.name for sample in samples] == ["door", "set_point", "fan", "lat", "lon"]
    assert {sample.time_ms for sample in samples} == {None}
    samples = read(frosty(), bytes.fromhex("00000000 0000c07f 00 01 ffff00000000000000a5"), 7)
    assert [sample.name for sample in samples] == ["door", "set_point", "fan", "lat", "lon"], (
        "0xffff is invalid"
    )


def test_a_log_is_readings_at_their_times() -> None:
    samples = read(frosty(), bytes.fromhex("6a34a264 00e7 6a34a2a0 ff9c"), 8)
    assert [(sample.value, sample.time_ms) for sample in samples] == [
        (2.31, 1_781_834_340_000),
        (-1.0, 1_781_834_400_000),
    ]


def test_without_a_port_the_form_decides() -> None:
    assert read(frosty(), bytes.fromhex("6a34a264 00e7"), None)[0].value == 2.31
    with pytest.raises(WireError, match="malformed_payload"):
        read(frosty(), bytes.fromhex("6a34a264 00e7 00"), None)


# --- members of an object -------------------------------------------------------------------------------------------


def test_members_are_renamed_scaled_and_left_out_as_the_file_says() -> None:
    text = {
        "profile": "decoded",
        "object": {
            "channels": [
                {"name": "TempF", "channel": "pulp", "quantity": "temperature", "unit": "degF", "scale": 0.1, "invalid": [32767]},
                {"name": "state", "channel": "fan", "quantity": "text", "words": {"1": "on"}},
            ],
            "ignore": ["Bat_status"],
        },
    }  # fmt: skip
    known = parse(json.dumps(text).encode(), "decoded.json").object
    object = {"TempF": 410, "state": 1, "Bat_status": 3, "new": "7.5", "nothing": None, "open": True}
    assert list(by(of_object(object.items(), {}), known)) == [
        Sample("pulp", "degF", 41.0),
        Sample("fan", text="on"),
        Sample("new", None, 7.5),
        Sample("open", None, 1.0),
    ]
    assert list(by(of_object([("TempF", 32767)], {}), known)) == []


def test_what_says_something_of_the_device_is_wanted_only_where_it_is_registered() -> None:
    samples = list(of_object({"battery": 88, "t": 1}.items(), {}))
    assert [record.channel for record in measured(samples, {"t": "temperature"}, 0)] == ["t"]
    assert [record.channel for record in measured(samples, {"battery": "battery_level"}, 0)] == [
        "battery",
        "t",
    ]


# --- a file that is wrong -------------------------------------------------------------------------------------------

FIELD: dict[str, Any] = {"channel": "t", "quantity": "temperature", "unit": "Cel", "byte": 0}


def of(**message: Any) -> dict[str, Any]:
    return {"profile": "x", "messages": [{"length": 2, "fields": [FIELD]} | message]}


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("no json", "x.json: the profile: Invalid JSON"),
        ({"profile": "x"}, "exactly one of messages, cayenne, object and teltonika"),
        ({"profile": "x", "cayenne": {}, "object": {}}, "exactly one of"),
        ({"profile": "Größe", "cayenne": {}}, "profile: String should match"),
        (of(colour="red"), "messages.0.colour: Extra inputs are not permitted"),
        (of(fields=[FIELD | {"byte": 2}]), "messages.0: byte 2 lies behind the length of 2"),
        (of(fields=[FIELD | {"length": 3}]), "byte 2 lies behind the length of 2"),
        (of(fields=[FIELD | {"when": [{"byte": 4, "equals": [1]}]}]), "byte 4 lies behind"),
        (of(when=[{"byte": 2, "equals": [1]}]), "a condition lies behind the length of 2"),
        (of(time={"byte": 1, "length": 4}), "byte 4 lies behind"),
        (of(fields=[FIELD | {"bits": 9}]), "1 bytes have no bits beyond 8"),
        (of(fields=[FIELD | {"quantity": "warmth"}]), "quantity 'warmth' is none of"),
        (of(fields=[FIELD | {"unit": "Cels"}]), "unit of 't'"),
        (of(fields=[FIELD | {"unit": "%RH"}]), "unit of 't'"),
        (of(fields=[FIELD | {"unit": None}]), "temperature needs a unit, such as 'Cel'"),
        (of(fields=[FIELD | {"words": {"1": "on"}}]), "a text has its words"),
        (of(fields=[FIELD | {"type": "float"}]), "a float has 16, 32 or 64 bits"),
        (of(fields=[FIELD | {"invalid": ["7fff"]}]), "messages.0.fields.0.invalid.0"),
        (of(fields=[FIELD, FIELD]), "channel 't' stands twice"),
        (of(repeat=True), "groups that repeat need a time each"),
        (of(items=[{"tag": "01", "length": 1}]), "either a length and fields, or items"),
        (of(length=None), "either a length and fields, or items"),
        ({"profile": "x", "messages": [{"items": [{"tag": "01", "length": 1}, {"tag": "0203", "length": 1}]}]}, "the same length"),
        ({"profile": "x", "messages": [{"items": [{"tag": "01", "length": 1}] * 2}]}, "a tag stands twice"),
        ({"profile": "x", "messages": [{"items": [{"tag": "01", "length": 1, "fields": [FIELD | {"length": 2}]}]}]}, "behind the length of 1"),
        ({"profile": "x", "cayenne": {"ignore": ["a", "a"]}}, "name 'a' stands twice"),
        ({"profile": "x", "teltonika": {"ignore": [1, 1]}}, "id 1 stands twice"),
    ],
    ids=range(27),
)  # fmt: skip
def test_a_file_that_is_no_profile_says_where_and_why(profile: Any, said: str) -> None:
    text = profile if isinstance(profile, str) else json.dumps(profile)
    with pytest.raises(ProfileError) as found:
        parse(text.encode(), "x.json")
    assert str(found.value).startswith("x.json: ") and said in str(found.value)


def test_a_wrong_file_takes_no_other_with_it_and_its_devices_are_told(tmp_path: Path) -> None:
    (tmp_path / "frosty-f1.json").write_text(json.dumps(FROSTY))
    (tmp_path / "broken.json").write_text(json.dumps(of(fields=[FIELD | {"unit": "Cels"}])))
    (tmp_path / "other-name.json").write_text(json.dumps(FROSTY))
    (tmp_path / "dragino-lht65.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not a profile, and not meant to be one")
    profiles = load(tmp_path)
    assert set(profiles.refused) == {"broken", "other-name", "dragino-lht65"}
    assert profiles.named("frosty-f1").model == "F1"
    for name, said in (
        ("broken", "broken.json: messages.0.fields.0"),
        ("other-name", "other-name.json: the profile is called 'frosty-f1'"),
        (
            "dragino-lht65",
            "dragino-lht65.json: the profile: Invalid JSON",
        ),  # never the shipped one in its place
        ("nobody", "there is no file of that name"),
    ):
        with pytest.raises(WireError) as found:
            profiles.named(name)
        assert found.value.reason == "unknown_profile" and said in found.value.detail
    with pytest.raises(WireError, match="the device has no profile"):
        profiles.named(None)


def test_a_change_of_the_folder_is_followed_once_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profiles = load(tmp_path)
    file = tmp_path / "frosty-f1.json"
    text = json.dumps(FROSTY)
    file.write_text(text[:40])
    profiles.refresh()
    file.write_text(text)  # whoever writes it is not done yet
    profiles.refresh()
    assert "frosty-f1" not in profiles.known and not profiles.refused
    profiles.refresh()
    assert profiles.named("frosty-f1").model == "F1" and "cayenne" in profiles.known
    known = profiles.known
    profiles.refresh()
    assert profiles.known is known, "read only where something has changed"

    file.write_text(json.dumps(FROSTY | {"model": "F2"}))
    (tmp_path / "broken.json").write_text("{")
    for _ in range(2):
        profiles.refresh()
    assert profiles.named("frosty-f1").model == "F2" and set(profiles.refused) == {"broken"}
    assert "a profile cannot be used" in caplog.text

    (tmp_path / "broken.json").unlink()
    file.rename(tmp_path / "gone.txt")
    for _ in range(2):
        profiles.refresh()
    assert profiles.known.keys() == load().known.keys() and not profiles.refused


def test_where_the_folder_cannot_be_read_what_was_known_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "frosty-f1.json").write_text(json.dumps(FROSTY))
    profiles = load(folder)
    folder.rename(tmp_path / "away")
    for _ in range(3):
        profiles.refresh()
    assert profiles.named("frosty-f1").model == "F1"
    assert caplog.text.count("cannot be read") == 1


def test_a_file_of_the_same_name_takes_the_shipped_ones_place(tmp_path: Path) -> None:
    (tmp_path / "cayenne.json").write_text(json.dumps({"profile": "cayenne", "model": "ours", "cayenne": {}}))
    assert load(tmp_path).named("cayenne").model == "ours"


def test_what_is_shipped_is_good() -> None:
    profiles: Profiles = load()
    assert profiles.refused == {}
    assert set(profiles.known) == {
        "cayenne", "dragino-lht65", "dragino-lse01", "dragino-ltc2", "milesight-em300-th", "teltonika"
    }  # fmt: skip


# --- the document ---------------------------------------------------------------------------------------------------

EXAMPLES = [fence for fence in fences(DOCS / "profiles.md") if fence.words[:1] == ("profile",)]


@pytest.mark.parametrize("fence", EXAMPLES, ids=lambda fence: fence.name)
def test_each_example_of_the_document_is_a_profile_and_reads_what_it_says(fence: Fence) -> None:
    known = parse(fence.payload, fence.name)
    Draft202012Validator(schema()).validate(json.loads(fence.text))
    payload, port = fence.after("payload="), fence.after("port=")
    if payload is not None:
        samples = [
            sample
            for sample in read(known, bytes.fromhex(payload), int(port) if port else None)
            if not sample.optional
        ]
        assert ",".join(f"{sample.name}:{sample.value}" for sample in samples) == fence.after("reads=")


def test_the_document_lists_what_is_shipped_and_every_word_of_the_form() -> None:
    text = (DOCS / "profiles.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \| .* \| .* \|$", text, re.MULTILINE)) >= set(load().known)
    words = {
        name for part in (Profile, MessageEntry, FieldEntry, TimeEntry, Item) for name in part.model_fields
    }
    assert [word for word in sorted(words) if f"`{word}`" not in text and f'"{word}"' not in text] == []


# --- the schema -----------------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """The model's own, with what a document needs around it."""
    made = Profile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made


def test_the_schema_in_the_documents_is_that_of_the_model() -> None:
    """To write it anew: the message of this assertion is the file."""
    path = DOCS / "wire/profile.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == schema(), json.dumps(
        schema(), indent=2, ensure_ascii=False
    )
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_shipped_profiles_are_good_by_the_schema(path: Path) -> None:
    Draft202012Validator(schema()).validate(json.loads(path.read_text(encoding="utf-8")))
