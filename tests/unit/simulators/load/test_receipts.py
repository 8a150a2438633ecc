"""What a receipt covers: nothing that is not held, and at the end all that is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from simulators.load.plan import Plan
from simulators.load.receipts import Receipts

PLAN = Plan(devices=2, messages=40, boot=5, start_ms=0)
TOPIC = PLAN.topic(1, "receipt").encode()


def receipt(held: set[int], boot: int = 5) -> bytes:
    """As docs/wire.md has it, the plain way."""
    through = next(seq for seq in range(1, 100) if seq not in held) - 1
    gaps: list[list[int]] = []
    for seq in range(through + 1, max(held, default=0)):
        if seq not in held:
            if gaps and gaps[-1][1] == seq - 1:
                gaps[-1][1] = seq
            else:
                gaps.append([seq, seq])
    return json.dumps({"boot": boot, "through": through, "gaps": gaps}).encode()


def indices(numbers: set[int]) -> set[int]:
    return {(seq - 1) * 2 + 1 for seq in numbers}


@given(st.lists(st.sets(st.integers(1, 20)), max_size=6), st.randoms(use_true_random=False))
def test_whatever_comes_in_whatever_order_nothing_unheld_is_covered(
    grew: list[set[int]], chance: object
) -> None:
    held: set[int] = set()
    sent = []
    for more in grew:
        held |= more
        sent.append(receipt(held))
    chance.shuffle(sent)  # type: ignore[attr-defined]
    receipts = Receipts(PLAN)
    for each in sent:
        receipts.take(TOPIC, each)
    missing = set(receipts.missing(PLAN.messages))
    through = json.loads(receipt(held))["through"] if sent else 0
    assert missing.isdisjoint(indices(set(range(1, through + 1)))), (
        "an older one that comes later takes nothing back"
    )
    assert missing >= indices(set(range(1, 21)) - held) | {seq * 2 for seq in range(20)}
    assert receipts.stored() == PLAN.messages - len(missing)


def test_when_all_is_held_nothing_is_missing() -> None:
    receipts = Receipts(PLAN)
    for number in range(2):
        receipts.take(PLAN.topic(number, "receipt").encode(), receipt(set(range(1, 21))))
    assert (receipts.stored(), list(receipts.missing(PLAN.messages))) == (40, [])


def test_what_follows_a_gap_is_covered_as_far_as_the_receipt_says() -> None:
    receipts = Receipts(PLAN)
    receipts.take(TOPIC, receipt({1, 2, 5, 9}))
    assert indices({1, 2, 5, 9}).isdisjoint(receipts.missing(PLAN.messages))
    assert receipts.stored() == 4


def test_another_boot_and_another_device_are_passed_over() -> None:
    receipts = Receipts(PLAN)
    receipts.take(TOPIC, receipt({1, 2, 3}, boot=4))
    receipts.take(b"suyuan/v1/load/somebody/receipt", receipt({1, 2, 3}))
    assert (receipts.stored(), receipts.came) == (0, 0)
