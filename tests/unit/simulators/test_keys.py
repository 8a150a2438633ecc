"""The world's GS1 keys against keys that others computed, and every key it uses against the rule."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from simulators import keys
from tests.unit.simulators.worlds import MORNING, messages, world

LENGTHS = {"01": 14, "00": 18, "414": 13, "417": 13}
KEY = re.compile(r"https://id\.gs1\.org/(01|00|414|417|253)/(\d+)")


def test_check_digits_of_published_keys() -> None:
    # GS1 General Specifications' own examples for GTIN-13 and SSCC, and a GLN of GS1's demonstration prefix.
    assert keys.check_digit("629104150021") == "3"
    assert keys.check_digit("37610425002123456") == "9"
    assert keys.gln(200) == "9521234002000"
    assert keys.gtin(20) == "09521234000204"


def test_every_key_in_registry_and_events_is_whole() -> None:
    texts = [json.dumps(world().registry())]
    texts += [m.payload.decode() for m in messages() if m.kind == "events"]
    found = {match for text in texts for match in KEY.findall(text)}
    assert {kind for kind, _ in found} == {"01", "00", "414", "417", "253"}
    for kind, digits in found:
        number = digits[:13] if kind == "253" else digits  # a GDTI's serial follows its thirteen digits
        assert len(number) == LENGTHS.get(kind, 13), (kind, digits)
        assert keys.check_digit(number[:-1]) == number[-1], (kind, digits)


def test_lots_and_serials_fit_their_application_identifiers() -> None:
    gtin, lot, serial = world().sample_box()
    assert len(gtin) == 14
    assert re.fullmatch(r"[!-~]{1,20}", lot)
    assert re.fullmatch(r"\d{1,20}", serial)
    assert lot == "DK260618A"


def test_event_identities_differ_by_seed_start_and_step_and_by_nothing_else() -> None:
    later = MORNING + timedelta(minutes=1)
    asked = [(1, MORNING, "run"), (2, MORNING, "run"), (1, later, "run"), (1, MORNING, "cull")]
    assert len({keys.event_id(*what) for what in asked}) == 4
    assert keys.event_id(1, MORNING, "run") == keys.event_id(1, MORNING, "run")
