"""A 承诺达标合格证 as it is kept: what it promises, and how it stands.

In the line: certificates.py makes and reads them -> the desk holds those of an act -> its event says them. Contract: pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from trace_api.acts.parts import Event, certificate_record
from trace_api.story import Name
from trace_api.words import decimal

Kind = Literal["producer", "buyer", "producer_card"]
Status = Literal["valid", "void", "replaced"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """`lot_kg`: of the lot by the record, when this was issued."""

    id: str
    number: str
    organisation: str
    kind: Kind
    lot: str
    lot_kg: float
    product: Name
    kg: float
    origin: str
    declared_by: str
    contact: str
    basis: tuple[str, ...]
    evidence: tuple[str, ...]
    issued_at: datetime
    issued_by: UUID | None
    event_id: str
    status: Status = "valid"
    replaced_by: str | None = None
    voided_at: datetime | None = None
    void_reason: str | None = None

    def record(self) -> Event:
        """As the event has it, for ever: what it promised, and how it stood when this was said."""
        return certificate_record(
            {
                "certificateId": self.id,
                "certificateNumber": self.number,
                "certificateKind": self.kind,
                "product": self.product.zh,
                "quantityKg": decimal(self.kg),
                "origin": self.origin,
                "declaredBy": self.declared_by,
                "contact": self.contact,
                "issuedAt": self.issued_at.isoformat(timespec="milliseconds"),
                "basis": list(self.basis),
                "evidence": list(self.evidence) or None,
                "status": self.status,
                "replacedBy": self.replaced_by,
                "voidReason": self.void_reason,
            }
        )
