"""Who outside vouches for the logs, as the settings name them: the witnesses, and the time-stamp authority."""

from __future__ import annotations

from pathlib import Path

from deploy.services.process import CannotStart
from deploy.settings import Settings
from ledger.errors import LedgerError
from ledger.timestamping import Authority, read_certificates
from ledger.witness_list import WitnessList, read_witnesses


def listed_witnesses(settings: Settings) -> WitnessList:
    """Raises CannotStart where the file cannot be used."""
    try:
        return read_witnesses(settings.witnesses_path)
    except LedgerError as error:
        raise CannotStart(f"SUYUAN_WITNESSES_FILE: {error}") from error


def authority(settings: Settings) -> Authority | None:
    """Whom the settings name. Raises CannotStart where they name it by half."""
    if not settings.tsa_url:
        return None
    if not settings.tsa_certificates:
        raise CannotStart("SUYUAN_TSA_URL needs SUYUAN_TSA_CERTIFICATES: whom to believe what it answers")
    try:
        return Authority(settings.tsa_url, read_certificates(Path(settings.tsa_certificates)))
    except LedgerError as error:
        raise CannotStart(f"SUYUAN_TSA_CERTIFICATES: {error}") from error
