"""What an installation decides, each under `SUYUAN_*` in the environment; `deploy/env.example` lists them all.

One object per process, made in the composition root and passed in; no room reads the environment.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.wire.sparkplug_topics import is_id

if TYPE_CHECKING:
    from ledger.signing import Algorithm, Signing

_FURTHER: tuple[Algorithm, ...] = ("mldsa44", "sm2")


class Settings(BaseSettings):
    """Every field is described; the description is what `deploy/env.example` shows."""

    model_config = SettingsConfigDict(env_prefix="SUYUAN_", frozen=True, extra="ignore")

    database_url: str = Field(
        default="postgresql://localhost/suyuan",
        description="PostgreSQL 16+ or TimescaleDB; each service with its own role (suyuan_ingest, suyuan_jobs, suyuan_sequencer, suyuan_api)",
    )
    public_database_url: str = Field(
        default="",
        description="The API's second connection, as suyuan_public: what shoppers see goes through it alone. Empty: database_url",
    )
    database_silence_s: float = Field(
        default=75.0,
        gt=0,
        description="Seconds without an answer after which ingest, jobs and the sequencer give up a connection to the database and "
        "make another; longer than their roles' statement_timeout (60 s)",
    )
    mqtt_url: str = Field(
        default="mqtt://127.0.0.1:1883",
        description="The broker, mqtt://[user:password@]host:port; MQTT 3.1.1 with shared subscriptions",
    )
    mqtt_client_prefix: str = Field(
        default="ingest",
        description="Ingest workers connect as {prefix}-{slot}; sessions are kept under these names",
    )
    mqtt_share_group: str = Field(
        default="ingest",
        description="Name of the shared subscription; empty: a plain one, for a single worker",
    )
    sparkplug_groups: str = Field(
        default="",
        description="Sparkplug B groups to listen to, names with commas between; each has one ingest process for its owner",
    )
    mqtt_keepalive_s: int = Field(
        default=30,
        ge=2,
        description="A worker asks a broker that was silent for so many seconds whether it is there; if it is not, "
        "that is noticed within twice that time",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Keys, head store and the log's public files; keys/ is secret, log/ may be served by any web server",
    )
    profiles_dir: str = Field(
        default="",
        description="Profiles of sensors besides those shipped, one JSON file each (docs/profiles.md); workers follow its changes",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080", description="What QR codes carry; a phone must reach it"
    )
    listen_host: str = Field(default="127.0.0.1", description="Address the API listens on")
    listen_port: int = Field(default=8080, ge=1, le=65535, description="Port the API listens on")
    scan_region_header: str = Field(
        default="",
        pattern=r"^$|^[A-Za-z0-9-]{1,60}$",
        description="Name of the header in which a proxy in front tells a shopper's county (GB/T 2260) for docs/radar.md; empty: none does",
    )
    log_origin: str = Field(
        default="suyuan.example",
        description="First part of a new log's origin, {log_origin}/{organisation}; fixed for each log at its inception",
    )
    log_signatures: str = Field(
        default="ed25519",
        description="Algorithms that sign checkpoints, with commas between: ed25519, and beside it mldsa44 (ML-DSA-44), sm2 (SM2 with SM3)",
    )
    log_key_overlap_days: int = Field(
        default=30,
        ge=0,
        description="Days for which a log's old key signs on beside the new one after suyuan log rotate",
    )
    witnesses_file: str = Field(
        default="",
        description="Who is asked to cosign the logs' checkpoints: a TOML file (docs/witnesses.md); the sequencer asks them, the API"
        " and evidence name them; restart both after a change. Empty: nobody",
    )
    tsa_url: str = Field(
        default="",
        description="RFC 3161 time-stamp authority that stamps the root log's checkpoint, http(s)://...; empty: none",
    )
    tsa_certificates: str = Field(
        default="",
        description="PEM file with the certificates that are trusted for it, its root among them; needed with tsa_url",
    )
    tsa_hours: float = Field(
        default=24.0, gt=0, description="Hours after a time stamp in which no other is asked for"
    )
    production: bool = Field(
        default=False,
        description="Real people use this instance: `suyuan doctor` then fails what a trial may have, such as demo data and weak passwords",
    )
    retention_days: int = Field(
        default=1096,
        ge=1,
        description="Raw readings older than this are dropped two days later by suyuan jobs (what was made of them stays); from the"
        " field such ones go to quarantine, by file they come in. "
        "On TimescaleDB's community edition run suyuan migrate after a change",
    )

    quarantine_rows: int = Field(
        default=1000,
        ge=1,
        description="Rows that quarantine keeps of one device and day; beyond them messages are counted and let go",
    )
    quarantine_megabytes: int = Field(
        default=50,
        ge=2,
        description="The same in MiB of payload; the unknown devices of one organisation share one budget",
    )
    quarantine_months: int = Field(
        default=24,
        ge=1,
        description="Months after which `suyuan quarantine forget` throws away the key of what was quarantined, and its payloads end",
    )

    capture_events: int = Field(
        default=1_000, ge=1, le=100_000, description="Events that one captured document may have"
    )
    capture_kilobytes: int = Field(
        default=4096,
        ge=64,
        le=65_536,
        description="KiB that one captured document may have, also when it came compressed; read, it takes ten times as much memory",
    )
    capture_waiting: int = Field(
        default=500,
        ge=1,
        description="Captured documents of one organisation that may wait to be worked off; the next one is asked to come again",
    )
    capture_days: int = Field(
        default=30, ge=1, description="Days for which one can ask what became of a capture"
    )
    capture_workers: int = Field(
        default=2,
        ge=0,
        le=16,
        description="Threads of each API process that work captured documents off; 0: none, where `suyuan capture` does",
    )

    alert_escalate_minutes: str = Field(
        default="15,60",
        description="Minutes after which an alert that nobody acknowledged is told to the channels of level 1, 2 and so on, rising, with"
        " commas between; empty: never",
    )
    webhook_inside: bool = Field(
        default=False,
        description="Webhooks may go to addresses of this machine and of private networks; only where administrators may reach these anyway",
    )
    smtp_url: str = Field(
        default="",
        pattern=r"^$|^smtps?://",
        description="Mail server for alerts, smtp://[user:password@]host:port (TLS where it offers it) or smtps://...; empty: no mail is sent",
    )
    mail_from: str = Field(
        default="", pattern=r"^$|^[^@\s]+@[^@\s]+$", description="Address that such mail comes from"
    )

    metrics_listen: str = Field(
        default="",
        pattern=r"^$|^.+:[0-9]{1,5}$",
        description="host:port at which an ingest or jobs process serves /metrics for Prometheus, each process its own; empty: nowhere",
    )
    metrics_devices: bool = Field(
        default=True,
        description="The jobs' metrics have the account of every device too; with tens of thousands of devices better false",
    )

    @field_validator("sparkplug_groups")
    @classmethod
    def _group_names(cls, written: str) -> str:
        wrong = [name for name in _names(written) if not is_id(name)]
        if wrong:
            raise ValueError(
                f"no name of a Sparkplug group: {wrong[0]!r}; it stands in topics, without / + #"
            )
        return written

    @field_validator("alert_escalate_minutes")
    @classmethod
    def _rising_minutes(cls, written: str) -> str:
        try:
            minutes = [float(each) for each in _names(written)]
        except ValueError:
            minutes = [0.0]
        if any(
            not before < after < float("inf") for before, after in zip([0.0, *minutes], minutes, strict=False)
        ):
            raise ValueError(f"no rising minutes: {written!r}; for example 15,60")
        return written

    @field_validator("log_signatures")
    @classmethod
    def _algorithms(cls, written: str) -> str:
        wrong = [name for name in _names(written) if name != "ed25519" and name not in _FURTHER]
        if wrong or "ed25519" not in _names(written):
            raise ValueError(
                f"no list of algorithms: {written!r}; it has ed25519 and may have mldsa44 and sm2"
            )
        return written

    @property
    def signing(self) -> Signing:
        from ledger.signing import Signing  # and with it much that no other command needs

        further = tuple(name for name in _FURTHER if name in _names(self.log_signatures))
        return Signing(timedelta(days=self.log_key_overlap_days), further)

    @property
    def escalate_minutes(self) -> list[float]:
        return [float(each) for each in _names(self.alert_escalate_minutes)]

    @property
    def sparkplug_group_names(self) -> list[str]:
        return _names(self.sparkplug_groups)

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self.retention_days)

    @property
    def profiles_folder(self) -> Path | None:
        return Path(self.profiles_dir) if self.profiles_dir else None

    @property
    def witnesses_path(self) -> Path | None:
        return Path(self.witnesses_file) if self.witnesses_file else None

    @property
    def keys_dir(self) -> Path:
        return self.data_dir / "keys"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"


def _names(written: str) -> list[str]:
    return list(dict.fromkeys(name for name in map(str.strip, written.split(",")) if name))


def in_words(error: ValidationError) -> str:
    """What is wrong with the environment, a variable a line. Values are not repeated: one may be a password."""
    said = error.errors(include_url=False, include_input=False, include_context=False)
    return "\n".join(f"SUYUAN_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in said) + (
        "\ndeploy/env.example explains every setting"
    )
