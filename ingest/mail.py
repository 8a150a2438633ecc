"""An e-mail to one address, through the operator's own mail server.

Contract: taken by that server, or `Undelivered`; what it does with it afterwards comes back to the sender's address. A password is
only sent over TLS.
"""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

from ingest.delivering import Parcel, Undelivered

STEP_S = 10.0


@dataclass(frozen=True, slots=True)
class Mails:
    """`server`: smtp://[user:password@]host[:port], which speaks TLS where it can, or smtps://; empty: there is none. `sender`: From."""

    server: str
    sender: str

    def __call__(self, parcel: Parcel, now: datetime) -> None:
        if not self.server or not self.sender:
            raise Undelivered("no mail server: SUYUAN_SMTP_URL and SUYUAN_MAIL_FROM say which")
        try:
            message = mail(parcel, self.sender, now)
            with _session(self.server) as session:
                session.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from error


def mail(parcel: Parcel, sender: str, now: datetime) -> EmailMessage:
    """The body's `told` in both languages: subject and lines of each."""
    told = parcel.body["told"]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = parcel.address
    message["Subject"] = f"{told['zh']['subject']} / {told['en']['subject']}"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{parcel.key}@{parseaddr(sender)[1].rpartition('@')[2] or 'suyuan.invalid'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "\n\n".join("\n".join(told[language]["lines"]) for language in ("zh", "en")) + "\n", cte="base64"
    )
    return message


def _session(server: str) -> smtplib.SMTP:
    parts = urlsplit(server)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("SUYUAN_SMTP_URL: want smtp:// or smtps:// and a host")
    trust = ssl.create_default_context()
    if parts.scheme == "smtps":
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            parts.hostname, parts.port or 465, timeout=STEP_S, context=trust
        )
    else:
        session = smtplib.SMTP(parts.hostname, parts.port or 25, timeout=STEP_S)
        session.ehlo()
        if session.has_extn("starttls"):
            session.starttls(context=trust)
        elif parts.username:
            session.close()
            raise ValueError("the mail server offers no TLS, and a password is not sent without")
    if parts.username:
        session.login(unquote(parts.username), unquote(parts.password or ""))
    return session
