"""Evidence under the root log, against a real database: anchors, witnesses' lines, clock and time stamps."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from deploy.verification import FAILS, HOLDS, verify_file
from ledger.anchored_evidence import Issuing, anchored
from ledger.cosigning import add_cosignatures, keep_cosignature
from ledger.entry_bodies import TimestampAnchor
from ledger.evidence import Report, build_event, build_window, read_trust, verify_evidence
from ledger.evidence_file import AnchoredEvidence, Evidence
from ledger.head_store import HeadStore
from ledger.key_rotation import Rotation, read_rotations
from ledger.log import Log
from ledger.reader import LogReader, open_log
from ledger.root_log import ROOT
from ledger.strict_json import strict
from ledger.timestamp_token import read_token
from ledger.timestamping import read_certificates
from ledger.translog.cosignature import Cosigner
from ledger.witness_list import InTwoLanguages, ListedWitness
from tests.integration.test_key_rotation import DAY, rotate
from tests.integration.test_sequencer import NOW, Instance, fields, instance, salts, window
from tests.integration.test_timestamping import step, tsa
from tests.servers.timestamp_authority import TimestampAuthority
from tests.unit.ledger.vectors_of_ours import make_v2

__all__ = ["instance", "tsa"]
MINUTE = timedelta(minutes=1)
WITNESS = Cosigner.from_seed("market.example/witness", bytes([3]) * 32)
OURS = Cosigner.from_seed("log.example/witness", bytes([4]) * 32)


def listed(cosigner: Cosigner, relation: str = "independent") -> ListedWitness:
    name = InTwoLanguages("市场", "a market")
    return ListedWitness((cosigner.verifier,), "http://127.0.0.1:1", relation, name, None, "all")  # type: ignore[arg-type]


def events(instance: Instance, *numbers: int, organisation: str = "xj-coop") -> Evidence:
    """Proven against the published checkpoint, as the API does it. Numbers are of the log's entries."""
    log = instance.log(organisation)
    items = tuple(build_event(log.leaf_evidence(at), fields(at), salts(at), {"bizStep"}) for at in numbers)
    return Evidence((log.log_evidence(),), items)


def made(
    instance: Instance, evidence: Evidence, *, small: bool = False, stamps: bool = False, role: str = "api"
) -> AnchoredEvidence:
    def logs(organisation: str) -> LogReader | None:
        return open_log(instance.folder / "log", organisation)

    witnesses = (listed(OURS, "operator"), listed(WITNESS))
    anchors = "published_anchor" if role == "public" else "anchor"
    with psycopg.connect(instance.database.service(role)) as conn:
        file = anchored(conn, evidence, Issuing(logs, witnesses, anchors, small, stamps))  # type: ignore[arg-type]
    report = verify_evidence(file.to_json(), keys(instance))
    assert report.failures == ()
    return file


def keys(instance: Instance) -> object:
    found = [open_log(instance.folder / "log", name) for name in ("xj-coop", "hz-market", ROOT)]
    return read_trust(log.vkey for log in found if log is not None)


def cosign(instance: Instance, *cosigners: Cosigner, seconds: int = 5, publish: bool = True) -> None:
    """As a witness does it that is asked: into the history, and under the published checkpoint."""
    root = instance.log(ROOT)
    lines = [each.cosign(root.head, int(NOW.timestamp()) + seconds) for each in cosigners]
    for line in lines:
        keep_cosignature(instance.owner, ROOT, root.tree_size, line)
    if publish:
        heads = HeadStore(instance.folder / "heads")
        log = Log(ROOT, root.origin, root.files, heads, (), None)
        assert add_cosignatures(log, root.tree_size, lines)


def test_items_are_proven_up_to_the_root(instance: Instance) -> None:
    instance.fill()
    instance.run()
    cosign(instance, WITNESS, OURS)
    log = instance.log()
    windows = build_window(log.leaf_evidence(3), window(1), range(5))
    evidence = events(instance, 0, 2)
    file = made(instance, replace(evidence, items=(*evidence.items, windows)))
    assert file.root is not None
    assert file.root.clock is not None
    assert [log.anchor is not None for log in file.logs] == [True]
    assert [each.relation for each in file.witnesses] == ["operator", "independent"]
    facts = verify_evidence(file.to_json()).facts
    assert facts.independent
    assert facts.clock_s == int(NOW.timestamp())


def test_items_are_proven_against_the_anchored_checkpoint_though_the_log_has_grown(
    instance: Instance,
) -> None:
    instance.add_event(0)
    instance.run()
    for number in range(1, 400):
        instance.add_event(number)
    instance.run(NOW + timedelta(seconds=10))
    assert instance.log().tree_size == 400
    file = made(instance, events(instance, 0))
    assert file.items[0].leaf.proof == ()
    assert verify_evidence(file.to_json()).facts.logs[0].size == 1


def test_what_no_anchor_reaches_yet_is_proven_against_the_logs_own_checkpoint(instance: Instance) -> None:
    instance.add_event(0)
    instance.add_event(1, "hz-market")
    instance.run()
    instance.add_event(1)
    instance.run(NOW + timedelta(seconds=10))
    mixed = events(instance, 0, 1)
    market = instance.log("hz-market")
    item = build_event(market.leaf_evidence(0), fields(1), salts(1), set())
    file = made(instance, Evidence((*mixed.logs, market.log_evidence()), (*mixed.items, item)))
    assert [log.anchor is not None for log in file.logs] == [False, True]
    report = verify_evidence(file.to_json())
    assert report.verified
    assert "not_anchored" in report.facts.limits(own_key=True)
    instance.run(NOW + 2 * MINUTE)
    assert made(instance, mixed).logs[0].anchor is not None


def test_the_checkpoint_that_a_witness_saw_comes_before_a_newer_one(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    cosign(instance, WITNESS, publish=False)
    instance.add_event(1)
    instance.run(NOW + 2 * MINUTE)
    old = made(instance, events(instance, 0))
    assert verify_evidence(old.to_json()).facts.root.size == 1  # type: ignore[union-attr]
    assert [each.relation for each in old.witnesses] == ["independent"]
    new = made(instance, events(instance, 1))
    assert verify_evidence(new.to_json()).facts.root.size == 2  # type: ignore[union-attr]
    assert new.witnesses == ()


def test_a_small_file_has_one_witness_and_no_clock(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    cosign(instance, OURS, WITNESS)
    file = made(instance, events(instance, 0), small=True)
    assert file.root is not None
    assert file.root.clock is None
    assert file.root.checkpoint.count("\n— ") == 2
    assert [each.relation for each in file.witnesses] == ["independent"]


def test_a_small_file_that_no_witness_saw_keeps_the_clock(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    file = made(instance, events(instance, 0), small=True)
    assert file.root is not None
    assert file.root.clock is not None


def test_a_stored_line_that_does_not_hold_is_left_out(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    root = instance.log(ROOT)
    other = replace(root.head, size=7)
    keep_cosignature(instance.owner, ROOT, root.tree_size, WITNESS.cosign(other, int(NOW.timestamp()) + 9))
    assert made(instance, events(instance, 0)).witnesses == ()
    cosign(instance, WITNESS)
    assert len(made(instance, events(instance, 0)).witnesses) == 1


def test_before_there_is_a_root_log_the_file_says_so(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    evidence = events(instance, 0)
    (instance.folder / "log" / ROOT / "checkpoint").unlink()
    file = made(instance, evidence)
    assert file.root is None
    assert file.logs == evidence.logs


def test_the_first_time_stamp_over_the_anchors_comes_along(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    stamp(instance)
    instance.add_event(1)
    instance.run(NOW + 2 * MINUTE)
    file = made(instance, events(instance, 0), stamps=True)
    assert [each.token for each in file.timestamps] == [token(instance)]
    assert [each.covers for each in verify_evidence(file.to_json()).facts.timestamps] == [True]
    assert [log.anchor.index for log in file.logs if log.anchor] == [0], "the newest that the stamp is over"
    assert made(instance, events(instance, 1), stamps=True).timestamps == (), "it is over an older state"
    assert made(instance, events(instance, 0)).timestamps == ()


def stamp(instance: Instance) -> None:
    """An authority's, made for the root log's checkpoint as it stands."""
    root = instance.log(ROOT)
    der = make_v2.new_token(root.head.text)
    digest = sha256(der).digest()
    root.files.write_once([(f"timestamp/{digest.hex()}.tsr", der)])
    body = TimestampAnchor(root.tree_size, root.root_hash, read_token(der).time_ms, "tsa.example", digest)
    instance.owner.execute(
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)"
        " VALUES ('root', 'anchor', 'party', 'tsa', %s, %s)",
        [strict(body.value()), NOW],
    )
    instance.run(NOW + MINUTE / 2)


def token(instance: Instance) -> bytes:
    (path,) = (instance.folder / "log" / ROOT / "timestamp").iterdir()
    return path.read_bytes()


def test_whoever_trusts_the_first_key_is_led_to_the_one_that_signs(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    first = instance.log().vkey
    rotate(instance, 1)
    instance.run(NOW + MINUTE)
    instance.add_event(1)
    instance.run(NOW + 40 * DAY)
    evidence = events(instance, 0)
    assert evidence.logs[0].vkey != first

    def rotations(organisation: str, origin: str) -> Sequence[Rotation]:
        org_key = instance.keys.organisation_key(organisation)
        return read_rotations(instance.owner, organisation, org_key, origin)

    def logs(organisation: str) -> LogReader | None:
        return open_log(instance.folder / "log", organisation)

    file = anchored(instance.owner, evidence, Issuing(logs, rotations=rotations))
    assert [log.anchor is None for log in file.logs] == [False], rotations("xj-coop", evidence.logs[0].origin)
    assert len(file.keys) == 1, (file.logs[0].vkey, rotations("xj-coop", evidence.logs[0].origin))
    trust = read_trust([first, instance.log(ROOT).vkey])
    assert verify_evidence(file.to_json(), trust).verified
    without = replace(file, keys=())
    assert [check.name for check in verify_evidence(without.to_json(), trust).failures][:1] == ["key"]


@pytest.mark.parametrize("publishes", [True, False])
def test_a_shopper_gets_what_is_published(instance: Instance, publishes: bool) -> None:
    instance.owner.execute("UPDATE organisation SET publishes = %s", [publishes])
    instance.add_event(0)
    instance.run()
    cosign(instance, WITNESS)
    file = made(instance, events(instance, 0), role="public")
    assert (file.logs[0].anchor is not None) == publishes
    assert len(file.witnesses) == 1


def test_with_the_authoritys_certificate_the_stamp_is_held_or_failed(
    instance: Instance, tsa: TimestampAuthority, tmp_path: Path
) -> None:
    instance.add_event(0)
    instance.run()
    assert step(instance, tsa)
    text = made(instance, events(instance, 0), stamps=True).to_json()
    vkeys = [instance.log(name).vkey for name in ("xj-coop", ROOT)]

    def state(certificate: Path) -> tuple[str, bool]:
        report = verify_evidence(text, read_trust(vkeys, None, read_certificates(certificate)))
        (check,) = [check for check in report.checks if check.name == "timestamp"]
        return check.state, "stamp_authority" in limits(report)

    assert state(tsa.root) == ("held", False)
    assert state(tsa.folder / "stranger_root.pem") == ("failed", False), "and no stamp is told of"
    (tmp_path / "e.json").write_text(text)
    for name, status in (("root", HOLDS), ("stranger_root", FAILS)):
        certificates = [tsa.folder / f"{name}.pem"]
        assert verify_file(tmp_path / "e.json", vkeys, True, lambda _text: None, certificates) == status


def limits(report: Report) -> tuple[str, ...]:
    return report.facts.limits(report.own_key)
