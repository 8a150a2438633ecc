"""The forms of EPCIS 2.0 in which acts are said: one method an act, each giving the events of EVENTS.md.

In the line: farm.py, road.py, market.py and shop.py have settled what is so -> these forms -> `record`. Contract: pure; an
event is a plain JSON object that the standard's schema takes; extension fields carry the prefix `suyuan:`, names inside
`ilmd` are full URIs. What an act says in several events happened at one instant: genealogy orders them by their steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from trace_api.acts.models import Substance
from trace_api.acts.numbers import SerialRange
from trace_api.acts.parts import (
    CONTEXT,
    INHIBITION,
    RESIDUE,
    RETEST,
    Event,
    Pulp,
    Quantity,
    What,
    extras,
    labels,
    quantities,
    trade,
    where,
)


@dataclass(frozen=True, slots=True)
class Forms:
    """`at`: when it happened. `zone`: of the place. `mint`: gives each event its name. `recorded_by`: the person's URN."""

    at: datetime
    zone: str
    mint: Callable[[], str]
    recorded_by: str | None

    def time(self, moment: datetime) -> str:
        return moment.astimezone(ZoneInfo(self.zone)).isoformat(timespec="milliseconds")

    def _event(self, kind: str, *parts: Event) -> Event:
        text = self.time(self.at)
        event: Event = {
            "@context": CONTEXT,
            "type": kind,
            "eventTime": text,
            "eventTimeZoneOffset": text[-6:],
            "eventID": self.mint(),
        }
        for part in parts:
            event.update(part)
        return event | extras(recordedBy=self.recorded_by)

    def _object(self, action: str, step: str, disposition: str | None, *parts: Event) -> Event:
        fixed: Event = {"action": action, "bizStep": step}
        if disposition is not None:
            fixed["disposition"] = disposition
        return self._event("ObjectEvent", fixed, *parts)

    def _seen(self, step: str, disposition: str | None, *parts: Event) -> Event:
        return self._object("OBSERVE", step, disposition, *parts)

    def _ended(self, step: str, disposition: str, *parts: Event) -> Event:
        return self._object("DELETE", step, disposition, *parts)

    def _aggregation(self, action: str, step: str, disposition: str, parent: str, *parts: Event) -> Event:
        fixed = {"action": action, "bizStep": step, "disposition": disposition, "parentID": parent}
        return self._event("AggregationEvent", fixed, *parts)

    def pulp(self, found: Pulp | None) -> Event:
        if found is None:
            return {}
        metadata: Event = {"time": self.time(self.at)}
        if found.probe is not None:
            metadata["deviceID"] = found.probe
        if found.rules is not None:
            metadata["bizRules"] = found.rules
        values = found.values
        report = {
            "type": "Temperature",
            "minValue": round(min(values), 1),
            "maxValue": round(max(values), 1),
            "meanValue": round(sum(values) / len(values), 2),
            "uom": "CEL",
            "suyuan:probePosition": "pulp",
            "suyuan:sampleCount": len(values),
        }
        return {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [report]}]}

    # --- field and packhouse --------------------------------------------------------------------------------------

    def harvest(self, picked: Quantity, plot: str, record: Event) -> Event:
        said = {"quantityList": quantities([picked])}
        return self._object("ADD", "commissioning", "active", said, where(plot, plot), {"ilmd": record})

    def harvest_again(self, picked: Quantity, plot: str) -> Event:
        """A later pick into the same lot: no new master data."""
        said = {"quantityList": quantities([picked])}
        return self._object("ADD", "creating_class_instance", "active", said, where(plot, plot))

    def weighing(
        self,
        weighed: Quantity,
        place: str,
        slip: str,
        hands: Event,
        card: str | None,
        pulp: Pulp | None,
        more: Event,
    ) -> Event:
        said = {"quantityList": quantities([weighed])}
        certified = {} if card is None else {"certificationInfo": [card]}
        return self._seen(
            "receiving",
            "in_progress",
            said,
            where(place, place),
            trade(recadv=slip),
            certified,
            self.pulp(pulp),
            hands,
            more,
        )

    def precooling(
        self, goods: Sequence[Quantity], room: str, activity: str, pulp: Pulp | None = None
    ) -> Event:
        count = None if pulp is None else len(pulp.values)
        said = {"quantityList": quantities(goods)}
        more = extras(activity=activity, sampleCount=count)
        return self._seen("storing", "in_progress", said, where(room, room), self.pulp(pulp), more)

    def run(
        self,
        inputs: Sequence[Quantity],
        outputs: Sequence[Quantity],
        line: str,
        run: str,
        record: Event,
        certificates: Sequence[str] = (),
    ) -> Event:
        """What goes in comes out, cull and all. A certificate stands in it twice: for its meaning, and so that it can be
        queried."""
        papers = [{"type": "cert", "bizTransaction": each} for each in certificates]
        parts: Event = {
            "transformationID": run,
            "bizStep": "commissioning",
            "disposition": "active",
            "inputQuantityList": quantities(inputs),
            "outputQuantityList": quantities(outputs),
            "bizTransactionList": [*papers, {"type": "prodorder", "bizTransaction": run}],
            "ilmd": record,
        }
        if certificates:
            parts["certificationInfo"] = list(certificates)
        return self._event("TransformationEvent", parts, where(line, line))

    def packing(
        self,
        unit: str,
        goods: Sequence[Quantity],
        place: str | None,
        serials: SerialRange | None,
        packaging: str | None = None,
    ) -> Event:
        said = {"childQuantityList": quantities(goods)}
        return self._aggregation(
            "ADD",
            "packing",
            "in_progress",
            unit,
            said,
            where(place, place),
            labels(serials),
            extras(packaging=packaging),
        )

    def unpacking(
        self, unit: str, goods: Sequence[Quantity], place: str | None, serials: SerialRange | None
    ) -> Event:
        said = {"childQuantityList": quantities(goods)}
        return self._aggregation(
            "DELETE", "unpacking", "in_progress", unit, said, where(place, place), labels(serials)
        )

    def storing(self, what: What, door: str, room: str) -> Event:
        return self._seen("storing", "in_progress", what.said(), where(door, room))

    # --- the road --------------------------------------------------------------------------------------------------

    def loading(
        self,
        vehicle: str,
        units: Sequence[str],
        dock: str | None,
        waybill: str,
        hands: Event,
        pulp: Pulp,
        more: Event,
    ) -> Event:
        """Without a bizLocation: in a vehicle goods are where the vehicle is."""
        said = {"childEPCs": list(units)}
        return self._aggregation(
            "ADD",
            "loading",
            "in_progress",
            vehicle,
            said,
            where(dock),
            trade(bol=waybill),
            self.pulp(pulp),
            hands,
            more,
        )

    def departing(self, epcs: Sequence[str], gate: str | None, hands: Event, seals: Sequence[str]) -> Event:
        said = {"epcList": list(epcs)}
        return self._seen("departing", "in_transit", said, where(gate), hands, extras(seal=list(seals)))

    def handing_over(
        self, epcs: Sequence[str], place: str | None, hands: Event, seals: Sequence[str]
    ) -> Event:
        """Another driver or tractor; the goods stay in the vehicle."""
        said = {"epcList": list(epcs)}
        return self._seen("accepting", "in_transit", said, where(place), hands, extras(seal=list(seals)))

    def arriving(self, epcs: Sequence[str], gate: str, yard: str) -> Event:
        return self._seen("arriving", "in_progress", {"epcList": list(epcs)}, where(gate, yard))

    def unloading(
        self, vehicle: str, units: Sequence[str], dock: str, found: Sequence[str], intact: bool | None
    ) -> Event:
        said = {"childEPCs": list(units)}
        more = extras(sealFound=list(found), sealIntact=intact)
        return self._aggregation(
            "DELETE", "unloading", "container_open", vehicle, said, where(dock, dock), more
        )

    # --- the market ------------------------------------------------------------------------------------------------

    def logger(self, what: What, place: str | None, element: Event) -> Event:
        """What a logger's file says of the time that it was with the goods."""
        return self._seen("sensor_reporting", None, what.said(), where(place, place), element)

    def inspecting(
        self,
        what: What,
        place: str | None,
        conformant: bool,
        certificates: Sequence[str],
        rules: str | None,
        pulp: Pulp | None,
        more: Event,
    ) -> Event:
        papers = [{"type": "cert", "bizTransaction": each} for each in certificates]
        papers += [] if rules is None else [{"type": "testprd", "bizTransaction": rules}]
        said: Event = {"bizTransactionList": papers} if papers else {}
        if certificates:
            said["certificationInfo"] = list(certificates)
        judged = "conformant" if conformant else "non_conformant"
        return self._seen("inspecting", judged, what.said(), where(place, place), said, self.pulp(pulp), more)

    def refused(self, unit: str, place: str | None, slip: str, reason: str) -> Event:
        marks = {"persistentDisposition": {"set": ["non_sellable_other"]}}
        said = {"epcList": [unit]}
        return self._seen(
            "inspecting",
            "non_conformant",
            said,
            where(place, place),
            marks,
            trade(rma=slip),
            extras(reason=reason),
        )

    def accepting(self, what: What, seen: str | None, room: str, receipt: str, hands: Event) -> Event:
        """Ownership passes here: the receipt is the receivable."""
        return self._seen(
            "accepting",
            "sellable_not_accessible",
            what.said(),
            where(seen or room, room),
            trade(recadv=receipt),
            hands,
        )

    def holding(self, what: What, place: str | None, reason: str, *, recalled: bool = False) -> Event:
        """Set apart. Of goods under a recall it is the answer to the recall."""
        becomes = "recalled" if recalled else "non_sellable_other"
        marks = {"persistentDisposition": {"set": ["unavailable"]}}
        return self._seen("holding", becomes, what.said(), where(place, place), marks, extras(reason=reason))

    def releasing(
        self, what: What, place: str | None, unset: Sequence[str], report: str | None, reason: str
    ) -> Event:
        marks = {"persistentDisposition": {"unset": list(unset)}}
        return self._seen(
            "inspecting",
            "conformant",
            what.said(),
            where(place, place),
            marks,
            trade(testres=report),
            extras(reason=reason),
        )

    def sampling(self, taken: Quantity, place: str | None, slip: str, authority: str) -> Event:
        said = {"quantityList": quantities([taken])}
        return self._ended(
            "sampling", "destroyed", said, where(place), trade(testprd=slip), extras(authority=authority)
        )

    def rapid_test(
        self,
        what: What,
        place: str | None,
        result: str,
        measured: Event,
        positive: bool,
        more: Mapping[str, Any],
    ) -> Event:
        """Positive is a hold and not a verdict: a retest may be asked for within four hours. Negative lifts no hold: what a
        screen found no screen takes back."""
        said = where(place, place) | trade(testres=result) | measured
        if not positive:
            return self._seen("inspecting", "conformant", what.said(), said, dict(more))
        marks = {"persistentDisposition": {"set": ["unavailable"]}}
        deadline = extras(retestDeadline=self.time(self.at + RETEST))
        return self._seen("holding", "non_sellable_other", what.said(), said, marks, dict(more), deadline)

    def laboratory(
        self,
        what: What,
        place: str | None,
        report: str,
        found: Sequence[Substance],
        conformant: bool,
        marks: Mapping[str, Sequence[str]],
        more: Mapping[str, Any],
    ) -> Event:
        """`marks`: set or unset with the result."""
        said = where(place, place) | trade(testres=report) | self._residues(found)
        if marks:
            said["persistentDisposition"] = {name: list(each) for name, each in marks.items()}
        judged = "conformant" if conformant else "non_conformant"
        return self._seen("inspecting", judged, what.said(), said, dict(more))

    def _residues(self, found: Sequence[Substance]) -> Event:
        if not found:
            return {}
        reports = [
            {"type": RESIDUE, "chemicalSubstance": each.substance, "value": each.value, "uom": "NA"}
            | extras(limit=each.limit, limitItem=each.item)
            for each in found
        ]
        return {
            "sensorElementList": [{"sensorMetadata": {"time": self.time(self.at)}, "sensorReport": reports}]
        }

    def inhibition(
        self, percent: float, measured_at: datetime, instrument: str | None, positive: bool
    ) -> Event:
        metadata: Event = {"time": self.time(measured_at)}
        if instrument is not None:
            metadata["deviceID"] = instrument
        report: Event = {"type": INHIBITION, "value": round(percent, 1), "uom": "P1"}
        if positive:
            report["exception"] = "ALARM_CONDITION"
        return {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [report]}]}

    # --- stall and shop --------------------------------------------------------------------------------------------

    def receiving(
        self,
        what: What,
        place: str,
        for_sale: bool,
        receipt: str | None,
        hands: Event,
        pulp: Pulp | None,
        slip: str | None = None,
    ) -> Event:
        """`slip`: under which the goods came back."""
        becomes = "returned" if slip else "sellable_accessible" if for_sale else "in_progress"
        return self._seen(
            "receiving",
            becomes,
            what.said(),
            where(place, place),
            trade(recadv=receipt, rma=slip),
            self.pulp(pulp),
            hands,
        )

    def shipping(self, what: What, place: str | None, invoice: str, hands: Event) -> Event:
        return self._seen("shipping", "in_transit", what.said(), where(place), trade(inv=invoice), hands)

    def returning(self, what: What, place: str | None, slip: str, hands: Event) -> Event:
        return self._seen("shipping", "returned", what.said(), where(place), trade(rma=slip), hands)

    def selling(self, what: What, place: str | None, basis: str | None) -> Event:
        return self._ended(
            "retail_selling", "retail_sold", what.said(), where(place), extras(aggregatedFrom=basis)
        )

    def destroying(
        self, what: What, place: str | None, reason: str, note: str | None, proof: str | None = None
    ) -> Event:
        return self._ended(
            "destroying",
            "disposed",
            what.said(),
            where(place),
            trade(cert=proof),
            extras(reason=reason, remark=note),
        )

    # --- papers ----------------------------------------------------------------------------------------------------

    def certificate(
        self, lot: str, certificate: str, activity: str, record: Event, basis_of: str | None = None
    ) -> Event:
        """Over the lot and no quantity of it: an amount would be taken out of the goods in every replay."""
        said = {"quantityList": quantities([Quantity(lot, None, None)]), "certificationInfo": [certificate]}
        more = extras(activity=activity, certificate=record, replaces=basis_of)
        return self._seen("other", None, said, trade(cert=certificate), more)
