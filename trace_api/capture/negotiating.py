"""What a client of `/epcis` asks for by headers, and whether that is what is answered here: EPCIS and CBV 2.0.0, JSON, names as they
were recorded.

Contract: who asks for something else is told so (406, the standard's NotAcceptableException) and never answered with what was not asked
for. Source: EPCIS 2.0 section 12 and its OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Header

from trace_api.problems import Problem

VERSION: Final = "2.0.0"
EPC_FORMAT: Final = "Never_Translates"
_FORMATS: Final = frozenset({EPC_FORMAT, "No_Preference"})
_ANSWERED: Final = frozenset(
    {"*/*", "application/*", "application/json", "application/ld+json", "application/problem+json"}
)

_Said = str | None


def refuse_other_versions(*versions: str | None) -> None:
    """`versions`: in which a document is sent. Raises Problem 406."""
    for version in versions:
        if version is not None and version not in ("2", "2.0", VERSION):
            raise _other(
                "Another version",
                f"Got version {version[:20]}, want {VERSION}: leave the header out, or ask OPTIONS what there is.",
            )


def refuse_other_answers(
    accept: Annotated[str, Header()] = "*/*",
    epcis_min: Annotated[_Said, Header(alias="GS1-EPCIS-Min")] = None,
    epcis_max: Annotated[_Said, Header(alias="GS1-EPCIS-Max")] = None,
    cbv_min: Annotated[_Said, Header(alias="GS1-CBV-Min")] = None,
    cbv_max: Annotated[_Said, Header(alias="GS1-CBV-Max")] = None,
    epc_format: Annotated[_Said, Header(alias="GS1-EPC-Format")] = None,
) -> None:
    """Raises Problem 406."""
    for least, most in ((epcis_min, epcis_max), (cbv_min, cbv_max)):
        if _number(least, "0") > _number(VERSION, "") or _number(most, VERSION) < _number(VERSION, ""):
            raise _other(
                "Another version",
                f"There is version {VERSION} alone, which is not in the range that was asked for.",
            )
    if epc_format is not None and epc_format not in _FORMATS:
        raise _other(
            "Another form of names",
            f"GS1-EPC-Format {epc_format[:40]}: names are given back as they were recorded; ask for {EPC_FORMAT}.",
        )
    wanted = {each.partition(";")[0].strip().lower() for each in accept.split(",")} - {""}
    if wanted and not wanted & _ANSWERED:
        raise _other("Another format", f"Accept {accept[:60]}: answers are application/json.")


def _number(said: str | None, otherwise: str) -> tuple[int, ...]:
    """A version's numbers; what is left off at its end is 0. Raises Problem 406."""
    parts = (otherwise if said is None else said.strip()).split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):
        raise _other("Another version", f"Got version {str(said)[:20]}, want numbers such as {VERSION}.")
    return tuple(int(part) for part in [*parts, "0", "0"][:3])


def _other(title: str, text: str) -> Problem:
    return Problem(406, title, text, type="epcisException:NotAcceptableException")
