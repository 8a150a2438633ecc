"""Every spelling of a standard word is that word; what is someone else's stays theirs."""

from __future__ import annotations

import pytest

from ledger.epcis import vocabulary
from ledger.epcis.vocabulary import BIZ_STEP, MEASUREMENT_TYPE, biz_step, disposition, measurement_type


@pytest.mark.parametrize(
    "text",
    [
        "loading",
        "urn:epcglobal:cbv:bizstep:loading",
        "https://ref.gs1.org/cbv/BizStep-loading",
        "https://ns.gs1.org/cbv/BizStep-loading",
        "cbv:BizStep-loading",
    ],
)
def test_a_step_has_one_bare_name(text: str) -> None:
    assert biz_step(text) == "loading"
    assert BIZ_STEP.full(text) == "https://ref.gs1.org/cbv/BizStep-loading"
    assert BIZ_STEP.knows(text)


def test_the_other_lists_have_spellings_of_their_own() -> None:
    assert disposition("urn:epcglobal:cbv:disp:in_transit") == "in_transit"
    assert vocabulary.biz_transaction_type("https://ref.gs1.org/cbv/BTT-cert") == "cert"
    assert vocabulary.source_destination_type("cbv:SDT-owning_party") == "owning_party"
    assert measurement_type("gs1:Temperature") == "Temperature"
    assert measurement_type("https://www.gs1.org/voc/Temperature") == "Temperature"
    assert MEASUREMENT_TYPE.full("Temperature") == "https://gs1.org/voc/Temperature"


def test_a_word_of_ones_own_is_taken_as_it_is() -> None:
    own = "https://suyuan.example/voc/precooling"
    assert biz_step(own) == BIZ_STEP.full(own) == own
    assert BIZ_STEP.knows(own)


@pytest.mark.parametrize("text", ["precooling", "urn:epcglobal:cbv:bizstep:precooling", ""])
def test_a_word_that_no_list_has_is_unknown(text: str) -> None:
    assert not BIZ_STEP.knows(text)
