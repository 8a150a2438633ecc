"""Distinct EPCIS events of all five types, with every field, from a seed: what the event hash is compared and timed on.

Place in the line: beside it; the differential test and the benchmark of the hash draw from here. An event is JSON as it
would come in: identifiers as URN and Digital Link, vocabulary bare, as URN and as CURIE, times in several zones, odd
numbers, nested extensions, master data, sensors. What the reference implementation is known to do otherwise is left
out, and stands by name in the test.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from ledger.epcis.identifiers import check_digit

NAMESPACES = {
    # The standard's own prefixes once more: the reference spells out none that the document does not declare.
    "cbv": "https://ref.gs1.org/cbv/",
    "gs1": "https://gs1.org/voc/",
    "ex": "https://ns.example.com/epcis/",
    "farm": "http://farm.example.org/voc/",
}
CONTEXT: list[Any] = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", NAMESPACES]
TYPES = ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent")
BIZ_STEPS = ("commissioning", "packing", "loading", "departing", "receiving", "storing", "inspecting")
DISPOSITIONS = ("active", "in_progress", "in_transit", "conformant", "container_closed", "retail_sold")
MEASUREMENTS = (("Temperature", "CEL"), ("RelativeHumidity", "A93"), ("Mass", "KGM"), ("Speed", "KMH"))


def document(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-06-22T16:00:00.000+08:00",
        "epcisBody": {"eventList": events},
    }


def distinct_events(number: int, seed: int) -> list[dict[str, Any]]:
    """So many, no two alike: the time moves on by at least a second with each."""
    chance = random.Random(seed)
    return [_Event(chance, place).made() for place in range(number)]


class _Event:
    def __init__(self, chance: random.Random, place: int) -> None:
        self.chance, self.place = chance, place

    def made(self) -> dict[str, Any]:
        kind = self.chance.choice(TYPES)
        fields = {
            "type": kind,
            **self._when(),
            **self._what(kind),
            **self._why_and_where(),
            **self._extensions("ex"),
        }
        names = list(fields)
        self.chance.shuffle(names)
        return {name: fields[name] for name in names}

    # --- dimensions ---

    def _when(self) -> dict[str, Any]:
        hours = self.chance.choice((-6, 0, 1, 8))
        zone = timezone(timedelta(hours=hours))
        fields = {
            "eventTime": self._time(zone),
            "eventTimeZoneOffset": f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00",
        }
        if self._often():
            fields["recordTime"] = self._time(zone)
        if self._often():
            fields["eventID"] = f"urn:uuid:{self.chance.getrandbits(128):032x}"
        return fields

    def _time(self, zone: timezone) -> str:
        at = datetime(2026, 6, 18, tzinfo=zone) + timedelta(
            seconds=self.place, milliseconds=self.chance.randrange(1000)
        )
        written = at.isoformat(timespec=self.chance.choice(("seconds", "milliseconds")))
        if "." in written and ".999" not in written and self._seldom():
            written = f"{written[:23]}{self.chance.choice(('1', '49', '51', '0007'))}{written[23:]}"
        return written.replace("+00:00", "Z") if self._often() else written

    def _what(self, kind: str) -> dict[str, Any]:
        if kind == "TransformationEvent":
            fields = {
                "inputEPCList": self._some(self._thing, 4),
                "inputQuantityList": self._some(self._quantity, 3),
                "outputEPCList": self._some(self._thing, 3),
                "outputQuantityList": self._some(self._quantity, 2),
                "transformationID": self._document(),
                "ilmd": {"farm:lot": self._serial(), **self._extensions("farm")},
            }
            return self._most(fields)
        fields = {"action": self.chance.choice(("ADD", "OBSERVE", "DELETE"))}
        if kind in ("AggregationEvent", "AssociationEvent"):
            children = {
                "childEPCs": self._some(self._thing, 8),
                "childQuantityList": self._some(self._quantity, 3),
            }
            return {**fields, "parentID": self._thing(), **self._most(children)}
        things: dict[str, Any] = {
            "epcList": self._some(self._thing, 8),
            "quantityList": self._some(self._quantity, 3),
        }
        if kind == "ObjectEvent":
            things["ilmd"] = {"farm:lot": self._serial(), **self._extensions("farm")}
            things["persistentDisposition"] = {
                "set": [self._word("Disp", DISPOSITIONS)],
                "unset": [self._word("Disp", DISPOSITIONS)],
            }
        return {**fields, **self._most(things)}

    def _why_and_where(self) -> dict[str, Any]:
        fields = {
            "bizStep": self._word("BizStep", BIZ_STEPS),
            "disposition": self._word("Disp", DISPOSITIONS),
            "readPoint": {"id": self._place(), **self._extension("ex")},
            "bizLocation": {"id": self._place()},
            "bizTransactionList": self._some(self._business_transaction, 3),
            "sourceList": self._some(lambda: self._party("source"), 2),
            "destinationList": self._some(lambda: self._party("destination"), 2),
            "certificationInfo": self.chance.choice((self._address(), [self._address(), self._address()])),
            "sensorElementList": self._some(self._sensor_element, 2),
            "errorDeclaration": {"declarationTime": "2026-07-01T00:00:00Z", "reason": "did_not_occur"},
        }
        return self._most(fields)

    def _sensor_element(self) -> dict[str, Any]:
        metadata = {
            "time": self._time(UTC),
            "startTime": self._time(UTC),
            "endTime": self._time(UTC),
            "deviceID": self._asset(),
            "deviceMetadata": self._address(),
            "rawData": self._address(),
            "dataProcessingMethod": self._document(),
            "bizRules": self._document(),
        }
        return {
            "sensorMetadata": metadata,
            "sensorReport": self._some(self._report, 3),
            **self._extension("ex"),
        }

    def _report(self) -> dict[str, Any]:
        kind, unit = self.chance.choice(MEASUREMENTS)
        fields = {
            "value": self._number(),
            "minValue": self._number(),
            "maxValue": self._number(),
            "meanValue": self._number(),
            "sDev": abs(self._number()),
            "percRank": self.chance.randrange(100),
            "percValue": self._number(),
            "component": self.chance.choice(("x", "latitude")),
            "stringValue": f"text {self._serial()}",
            "hexBinaryValue": "f0f0f0",
            "uriValue": self._address(),
            "deviceID": self._asset(),
            "time": self._time(UTC),
            "microorganism": "https://www.ncbi.nlm.nih.gov/taxonomy/1126011",
            "chemicalSubstance": "https://identifiers.org/inchikey:CZMRCDWAGMRECN-UGDNZRGBSA-N",
            "exception": "ALARM_CONDITION",
            "coordinateReferenceSystem": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            "bizRules": self._document(),
        }
        spelled = self.chance.choice(("", "gs1:")) + kind
        return {"type": spelled, "uom": unit, **self._most(fields, 0.35), "ex:raw": self._serial()}

    # --- extensions ---

    def _extensions(self, prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self.chance.randrange(4)):
            found.update(self._extension(prefix))
        return found

    def _extension(self, prefix: str, depth: int = 0) -> dict[str, Any]:
        name = f"{prefix}:{self.chance.choice(('note', 'grade', 'tare', 'Ältestes', 'code', 'seal'))}{depth}"
        makers: list[Callable[[], Any]] = [
            lambda: f"words {self._serial()}",
            lambda: "东魁 杨梅",
            lambda: "",
            self._number,
            lambda: self.chance.choice(("007", "1.50", "+3", "-0.0", "1e3", "26.0")),
            self._thing,
            self._address,
            lambda: f"urn:epcglobal:cbv:bizstep:{self.chance.choice(BIZ_STEPS)}",
            lambda: f"ex:{self._serial()}",
            lambda: self._some(lambda: self.chance.randrange(1000), 4),
        ]
        if depth < 3:
            makers += [lambda: self._nested(prefix, depth + 1)] * 2
            makers += [lambda: self._some(lambda: self._nested(prefix, depth + 1), 2)]
        return {name: self.chance.choice(makers)()}

    def _nested(self, prefix: str, depth: int) -> dict[str, Any]:
        return {**self._extension(prefix, depth), **self._extension(prefix, depth)}

    # --- identifiers ---

    def _thing(self) -> str:
        makers: list[Callable[[], str]] = [
            lambda: f"urn:epc:id:sgtin:4012345.0{self._digits(5)}.{self._serial()}",
            lambda: f"https://id.gs1.org/01/{self._checked('0401234', 13)}/21/{self._serial()}",
            lambda: (
                f"https://example.com/some/path/01/{self._checked('0401234', 13)}/10/L1/21/{self._serial()}?x=1"
            ),
            lambda: f"urn:epc:id:sscc:4012345.0{self._digits(9)}",
            lambda: f"https://id.gs1.org/00/{self._checked('0401234', 17)}",
            lambda: f"urn:epc:id:grai:4012345.{self._digits(5)}.{self._serial()}",
            self._asset,
            lambda: f"https://farm.example.org/obj/{self._serial()}",
        ]
        return self.chance.choice(makers)()

    def _class(self) -> str:
        makers: list[Callable[[], str]] = [
            lambda: f"urn:epc:class:lgtin:4012345.0{self._digits(5)}.{self._serial()}",
            lambda: f"https://id.gs1.org/01/{self._checked('0401234', 13)}/10/{self._serial()}",
            lambda: f"urn:epc:idpat:sgtin:4012345.0{self._digits(5)}.*",
            lambda: f"https://farm.example.org/class/{self._serial()}",
        ]
        return self.chance.choice(makers)()

    def _place(self) -> str:
        makers: list[Callable[[], str]] = [
            lambda: f"urn:epc:id:sgln:4012345.{self._digits(5)}.0",
            lambda: f"urn:epc:id:sgln:4012345.{self._digits(5)}.{self._serial()}",
            lambda: f"https://id.gs1.org/414/{self._checked('401234', 12)}/254/{self._serial()}",
            lambda: f"geo:{self.chance.randrange(90)}.5,{self.chance.randrange(180)}.25",
        ]
        return self.chance.choice(makers)()

    def _asset(self) -> str:
        return f"urn:epc:id:giai:4012345.{self._serial()}"

    def _document(self) -> str:
        return f"urn:epc:id:gdti:4012345.{self._digits(5)}.{self._serial()}"

    def _address(self) -> str:
        return f"https://farm.example.org/doc/{self._serial()}"

    def _checked(self, head: str, digits: int) -> str:
        body = head + self._digits(digits - len(head))
        return body + check_digit(body)

    def _digits(self, number: int) -> str:
        return "".join(self.chance.choice("0123456789") for _ in range(number))

    def _serial(self) -> str:
        return "".join(self.chance.choice("ABCDEFGHJKLMNP") for _ in range(3)) + str(
            self.chance.randrange(10**6)
        )

    # --- values ---

    def _quantity(self) -> dict[str, Any]:
        found = {"epcClass": self._class(), "quantity": abs(self._number())}
        return found | ({"uom": "KGM"} if self._often() else {})

    def _business_transaction(self) -> dict[str, Any]:
        return {"type": self._word("BTT", ("po", "inv", "desadv")), "bizTransaction": self._document()}

    def _party(self, name: str) -> dict[str, Any]:
        kind = self._word("SDT", ("owning_party", "possessing_party"))
        return {"type": kind, name: f"urn:epc:id:pgln:4012345.{self._digits(5)}"}

    def _word(self, path: str, words: tuple[str, ...]) -> str:
        word = self.chance.choice(words)
        urns = {"BizStep": "bizstep", "Disp": "disp", "BTT": "btt", "SDT": "sdt"}
        spellings = (word, word, word, f"urn:epcglobal:cbv:{urns[path]}:{word}", f"cbv:{path}-{word}")
        return self.chance.choice((*spellings, f"https://ref.gs1.org/cbv/{path}-{word}"))

    def _number(self) -> float:
        makers: list[Callable[[], float]] = [
            lambda: self.chance.randrange(-1000, 1000),
            lambda: self.chance.randrange(-1000, 1000) / 100,
            lambda: self.chance.random(),
            lambda: self.chance.choice((0, -0.0, 1.0, 0.1, 1e-7, 5e-324, 2.0**52, 1e15, 123456789.125)),
        ]
        return self.chance.choice(makers)()

    def _some(self, make: Callable[[], Any], most: int) -> list[Any]:
        return [make() for _ in range(self.chance.randint(1, most))]

    def _most(self, fields: dict[str, Any], part: float = 0.6) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if self.chance.random() < part}

    def _often(self) -> bool:
        return self.chance.random() < 0.5

    def _seldom(self) -> bool:
        return self.chance.random() < 0.1
