"""`attach_logger`: a logger's file and the goods that it was with, as an event.

In the line: the file is kept -> here, a planner like any other -> `sensor_reporting` with the file's hash as `rawData`, its time, its
extremes and mean. Contract: the event says what the file says; the judgement of it is made anew by whoever has it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from ingest.coldchain import logged
from ingest.exports import reading, tables
from ingest.exports.exported import Column, Export, ExportError
from trace_api.acts.desk import Desk
from trace_api.acts.models import AttachLogger
from trace_api.acts.parts import Event, number
from trace_api.acts.refusals import refuse
from trace_api.loggers import files


def attach_logger(desk: Desk, act: AttachLogger) -> list[Event]:
    sha256 = files.hash_in(act.file)
    data = None if sha256 is None else files.own(desk.conn, sha256)
    if sha256 is None or data is None:
        raise refuse("logger_file_unknown", "file", status=422)
    export = read_export(data, act, desk.zone)
    column = one_column(export, act.column)
    what, rows = desk.moved(act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    desk.logger_files.append(sha256)
    device = act.device or export.serial
    element = _element(export, column, desk.plain(device), files.name_of(sha256), desk.at)
    return [desk.forms.logger(what, place, element)]


def read_export(data: bytes, act: AttachLogger, zone: str) -> Export:
    """Times that the file writes without an offset are of `zone`, unless the act says another."""
    try:
        asked = tables.Asked(act.unit, (), ZoneInfo(act.time_zone or zone), act.date_order)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise refuse("no_time_zone", "time_zone", status=422, zone=act.time_zone) from error
    try:
        return reading.read(data, asked)
    except ExportError as error:
        raise refuse("logger_file_unreadable", "file", status=422, reason=str(error)) from error


def one_column(export: Export, wanted: str | None) -> Column:
    """A probe was with the goods, or it was not: of several it is said which one."""
    if wanted is None and len(export.columns) == 1:
        return export.columns[0]
    found = next((column for column in export.columns if column.name == wanted), None)
    if found is None:
        raise refuse(
            "logger_column_needed",
            "column",
            status=422,
            names=", ".join(each.name for each in export.columns),
        )
    return found


def _element(export: Export, column: Column, device: str | None, raw: str, at: datetime) -> Event:
    first, last = column.ends()
    end = datetime.fromtimestamp(int(export.line.time_ms[last]) / 1000, UTC)
    if end > at:
        raise refuse("logger_file_ahead", "file", status=422, last=export.line.written(last))
    known = column.value_c[~np.isnan(column.value_c)]
    if not known.size:
        raise refuse("logger_file_empty", "file", status=422)
    metadata: Event = {
        "startTime": export.line.written(first),
        "endTime": export.line.written(last),
        "rawData": raw,
    }
    if device is not None:
        metadata["deviceID"] = device
    report = {
        "type": "Temperature",
        "minValue": number(float(known.min())),
        "maxValue": number(float(known.max())),
        "meanValue": number(logged.mean_c(*column.series(export.line), export.interval_ms)),
        "uom": "CEL",
        "suyuan:sampleCount": int(known.size),
    }
    return {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [report]}]}
