"""Sparkplug: does somebody listen to each group, and is every edge node read."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from ingest.sparkplug.owner import GROUP_LOCK

ABOUT = "sparkplug"

_HEARD = """
SELECT wanted.name FROM unnest(%s::text[]) AS wanted (name)
WHERE EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database AND datname = current_database()
              WHERE locktype = 'advisory' AND granted AND classid = %s::bigint::oid
                AND objid = (hashtext(wanted.name)::bigint & 4294967295)::oid)
"""
_NODES = """
SELECT group_id || '/' || node_id, online, awaits_birth FROM sparkplug_node WHERE group_id = ANY (%s) ORDER BY 1
"""


def sparkplug(patient: Patient) -> Iterator[Finding]:
    groups = patient.settings.sparkplug_group_names
    if not groups:
        return
    with patient.database() as conn:
        heard = {name for (name,) in conn.execute(_HEARD, [groups, GROUP_LOCK])}
        nodes = conn.execute(_NODES, [groups]).fetchall()
    unheard = [group for group in groups if group not in heard]
    if unheard:
        yield fail(
            ABOUT,
            f"nobody listens to {listed(unheard)}: what edge nodes send is lost, unless they wait for their host",
            "start an ingest service with this SUYUAN_SPARKPLUG_GROUPS; its log says what keeps it from the broker",
        )
    unread = [name for name, _, awaits_birth in nodes if awaits_birth]
    if unread:
        yield warn(
            ABOUT,
            f"{listed(unread)} was asked for a birth and none has come: all that it sends lies in quarantine",
            "if it stays so: does the edge node hear NCMD, and take Node Control/Rebirth? starting it again helps too",
        )
    if not unheard and not unread:
        online = sum(online for _, online, _ in nodes)
        yield ok(ABOUT, f"{listed(groups)}: {len(nodes)} edge nodes known, {online} online")
