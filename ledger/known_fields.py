"""The schema that says which fields of an event hold no person: everything else counts as personal.

Read by `ledger.personal`. Data, and how each form is told: a known field holds its form or is personal like an unknown one, so
a name typed where a seal's number belongs is no number. The standard's own fields are structural by their place in the event
(`ledger.epcis.models` refuses others there); what stands here is the open places: extension fields, `ilmd`, and what sensors say.

Sources: EVENTS.md's extension fields and our acts (`suyuan:`), CBV 2.0 section 9 (`cbvmda:`), GDST 1.2 (`gdst:`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger.epcis.models import URI_PATTERN

PERSON_URN: Final = re.compile(r"urn:suyuan:person:[0-9a-f-]{32,36}")
"""What stands in a value's place, and an account's own name: neither is replaced again."""

# --- forms ------------------------------------------------------------------------------------------------------------

_URI = re.compile(URI_PATTERN)
_ADDRESSES_A_PERSON = re.compile(r"(?i)(tel|mailto|sms|smsto|sip|sips|xmpp|im|weixin|data):")
# A mobile number, a citizen's identity number, an address for letters: no name of a good holds one.
_TELLS_A_PERSON = re.compile(r"(?<!\d)1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)|(?<!\d)\d{17}[\dXx](?!\d)|@")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_-]{0,39}")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,12})?)?(Z|[+-]\d{2}:\d{2})?)?)?")
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,12})?")
_MEASURE = re.compile(r"-?\d{1,6}(\.\d{1,6})?(\.\.-?\d{1,6}(\.\d{1,6})?)?( ?[A-Z0-9]{2,3})?")
_LONGEST_TEXT = 200


def _matches(form: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _is_code(value: Any) -> bool:
    return _matches(_CODE)(value) and not _TELLS_A_PERSON.search(value)


def _is_uri(value: Any) -> bool:
    return _matches(_URI)(value) and not _ADDRESSES_A_PERSON.match(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and abs(value) < 1e9


def _is_goods(value: Any) -> bool:
    if not isinstance(value, str):
        return _is_number(value)
    return len(value) <= _LONGEST_TEXT and not _TELLS_A_PERSON.search(value)


FORMS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "word": _matches(_WORD),  # of a vocabulary: past_best_before
    "code": _is_code,  # a seal's, lot's or document's number
    "uri": _is_uri,
    "reference": lambda value: (
        _is_uri(value) or _is_code(value)
    ),  # an identifier, or the short one of our registry
    "date": _matches(_DATE),  # or date and time
    "number": _is_number,  # also as text, which is how master data writes it
    "measure": _matches(_MEASURE),  # 0..5 CEL
    "flag": lambda value: isinstance(value, bool) or value in ("true", "false"),
    "goods": _is_goods,  # words about goods and methods: a variety, a packaging
    "person": lambda _value: False,
}
"""Whether a value is what its field says it holds."""

Known = str | Mapping[str, "Known"]
"""A form's name, or the fields of an object (or of each object in a list)."""

# --- fields -----------------------------------------------------------------------------------------------------------

_CERTIFICATE: Final[Mapping[str, Known]] = {
    "certificateId": "uri",
    "certificateNumber": "code",
    "certificateKind": "word",
    "product": "goods",
    "quantityKg": "number",
    "origin": "goods",
    "declaredBy": "uri",
    "contact": "person",
    "issuedAt": "date",
    "basis": "word",
    "evidence": "uri",
    "status": "word",
    "replacedBy": "uri",
    "voidReason": "word",
}

_OURS: Final[Mapping[str, Known]] = {
    "activity": "word",
    "aggregatedFrom": "goods",
    "agreedTemperature": "measure",
    "authority": "word",
    "bestBefore": "date",
    "certificate": _CERTIFICATE,
    "channel": "goods",
    "compartmentTemperatureAtLoading": "measure",
    "decidedBy": "word",
    "grade": "goods",
    "growerRef": "reference",
    "harvestEnd": "date",
    "harvestStart": "date",
    "inputShares": "uri",
    "labelRange": {"epcClass": "uri", "from": "code", "to": "code"},
    "limit": "number",
    "limitItem": "goods",
    "method": "goods",
    "netWeightPerUnitKg": "number",
    "notCovered": "goods",
    "packDate": "date",
    "packaging": "goods",
    "plot": "goods",
    "preHarvestIntervalChecked": "flag",
    "probePosition": "word",
    "reason": "word",
    "recall": "uri",
    "recallGoods": "uri",
    "recallLevel": "number",
    "recordedBy": "person",
    "remark": "person",
    "replaces": "uri",
    "retest": "flag",
    "retestDeadline": "date",
    "sampleCount": "number",
    "seal": "goods",
    "sealFound": "goods",
    "sealIntact": "flag",
    "setPoint": "measure",
    "tare": {"value": "number", "uom": "code"},
    "threshold": "number",
    "timeBasis": "word",
    "variety": "goods",
    "verdictVersion": "code",
    "witness": "person",
}

_MASTER_DATA: Final[Mapping[str, Known]] = {
    "bestBeforeDate": "date",
    "catchArea": "goods",
    "countryOfExport": "code",
    "countryOfOrigin": "code",
    "drainedWeight": "number",
    "economicZone": "goods",
    "fishingGearTypeCode": "code",
    "grossWeight": "number",
    "growingMethodCode": "code",
    "harvestEndDate": "date",
    "harvestStartDate": "date",
    "informationProvider": "uri",
    "itemExpirationDate": "date",
    "lotNumber": "goods",
    "measurement": "number",
    "measurementUnitCode": "code",
    "netWeight": "number",
    "preservationTechniqueCode": "code",
    "productionDate": "date",
    "productionMethodForFishAndSeafoodCode": "code",
    "rateOfDecline": "number",
    "sellByDate": "date",
    "speciesForFisheryStatisticsPurposesCode": "code",
    "speciesForFisheryStatisticsPurposesName": "goods",
    "storageStateCode": "code",
    "unloadingPort": "goods",
    "vesselFlagState": "code",
    "vesselID": "code",
}

_SEAFOOD: Final[Mapping[str, Known]] = {
    "aquacultureMethod": "goods",
    "broodstockSource": "goods",
    "certificationType": "goods",
    "fisheryImprovementProject": "goods",
    "gpsAvailability": "flag",
    "imoNumber": "code",
    "productOwner": "uri",
    "proteinSource": "goods",
    "rfmoArea": "goods",
    "subnationalPermitArea": "goods",
    "vesselPublicRegistry": "uri",
    "vesselTripDate": "date",
}

_VOCABULARIES: Final[tuple[tuple[tuple[str, ...], Mapping[str, Known]], ...]] = (
    (("suyuan:", "https://suyuan.example/voc/"), _OURS),
    (("cbvmda:", "urn:epcglobal:cbv:mda:", "urn:epcglobal:cbv:mda#"), _MASTER_DATA),
    (("gdst:", "https://traceability-dialogue.org/epcis/"), _SEAFOOD),
)

FIELDS: Final[Mapping[str, Known]] = {
    f"{prefix}{name}": known
    for prefixes, fields in _VOCABULARIES
    for prefix in prefixes
    for name, known in fields.items()
}
"""By the name as it is written: with its usual prefix or as a whole URI. Another spelling is an unknown field."""

_SENSOR_METADATA: Final[Mapping[str, Known]] = dict.fromkeys(
    ("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"), "uri"
) | dict.fromkeys(("time", "startTime", "endTime"), "date")

_SENSOR_REPORT: Final[Mapping[str, Known]] = (
    dict.fromkeys(
        ("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules", "microorganism",
         "chemicalSubstance", "coordinateReferenceSystem", "uriValue"),
        "uri",
    )
    | dict.fromkeys(("type", "exception", "component"), "structural")
    | dict.fromkeys(("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"), "structural")
    | {"time": "date", "booleanValue": "flag", "hexBinaryValue": "structural", "uom": "code", "stringValue": "person"}
)  # fmt: skip

OPEN: Final[Mapping[str, Mapping[str, Known]]] = {
    "readPoint": {"id": "structural"},
    "bizLocation": {"id": "structural"},
    "errorDeclaration": dict.fromkeys(("declarationTime", "reason", "correctiveEventIDs"), "structural"),
    "sensorElementList": {"sensorMetadata": _SENSOR_METADATA, "sensorReport": _SENSOR_REPORT},
    "ilmd": {},
}
"""The standard's fields in which others may write fields of their own, and which of their fields are the standard's.
`structural`: as the standard has it, whatever it holds."""

STRUCTURAL: Final = frozenset({
    "@context", "type", "eventID", "eventTime", "eventTimeZoneOffset", "recordTime", "action", "bizStep", "disposition",
    "persistentDisposition", "epcList", "quantityList", "parentID", "childEPCs", "childQuantityList", "inputEPCList",
    "outputEPCList", "inputQuantityList", "outputQuantityList", "transformationID", "bizTransactionList", "sourceList",
    "destinationList", "certificationInfo",
})  # fmt: skip
"""The standard's fields in which there is no room for anybody's own words."""
