"""Alerts: what channels did not take, and channels that cannot be reached as things are set."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn

ABOUT = "alerts"
FAILING_FROM = 4

_CHANNELS = """
SELECT channel.organisation, channel.kind, count(outbox.id) FILTER (WHERE given_up_at IS NOT NULL),
       count(outbox.id) FILTER (WHERE given_up_at IS NULL AND attempts >= %s),
       coalesce((array_agg(last_error ORDER BY outbox.id DESC) FILTER (WHERE last_error IS NOT NULL))[1], '')
FROM alert_channel AS channel LEFT JOIN outbox ON outbox.channel = channel.id
GROUP BY channel.id ORDER BY channel.organisation, channel.kind, channel.id
"""


def alerts(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        found = conn.execute(_CHANNELS, [FAILING_FROM]).fetchall()
    lost = [f"{n} to a {kind} of {who} ({error})" for who, kind, n, _, error in found if n]
    failing = [f"{n} to a {kind} of {who} ({error})" for who, kind, _, n, error in found if n]
    mails = sorted({who for who, kind, *_ in found if kind == "email"})
    if lost:
        yield fail(
            ABOUT,
            f"given up after a day: {listed(lost, 3)}",
            "mend or remove the channel at /channels; `Send a test` shows it",
        )
    if failing:
        yield warn(
            ABOUT, f"tried again and again: {listed(failing, 3)}", "mend or remove the channel at /channels"
        )
    if mails and not (patient.settings.smtp_url and patient.settings.mail_from):
        yield fail(
            ABOUT,
            f"{listed(mails, 3)} shall be told by e-mail, and there is no mail server",
            "set SUYUAN_SMTP_URL and SUYUAN_MAIL_FROM",
        )
    if not (lost or failing):
        yield ok(ABOUT, f"{len(found)} channels, and nothing that they did not take")
