"""The form of one act: shown, filled bit by bit, sent, and shown again with what was wrong.

Contract: adding to a list or summing up records nothing; what is sent is recorded once, whoever taps how often. A refusal
keeps what was typed and says at which field what happened and what to do next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from uuid import UUID

import psycopg
from fastapi import Request, Response

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer
from trace_api.acts import Refused, kinds_for, perform, read_act, resolve, undo, undoable
from trace_api.digits import whole
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.scan import typed as typing_in
from trace_api.scan.choices import Choice, Choices
from trace_api.scan.done_page import read_own
from trace_api.scan.sheets import SHEETS, Ask
from trace_api.scan.standing import Standing, read_standing
from trace_api.scan.typed import (
    CORRECTS,
    GRADES,
    PULPS,
    Typed,
    added,
    fields_of,
    from_form,
    from_query,
    from_said,
    waiting,
)
from trace_api.words import CATALOGUES, Words
from trace_api.work import Frame, Sent, done_once, page


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a form. `fields`: by the input's name; `whole`: title of what is about no field, and the rest."""

    fields: Mapping[str, str] = field(default_factory=dict)
    whole: Sequence[str] = ()
    status: int = 200

    @property
    def count(self) -> int:
        return len(self.fields) + len(self.whole)


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a run, in kilograms. `missing`: went in and did not come out."""

    put_in: float
    boxes: float
    cull: float

    @property
    def missing(self) -> float:
        return round(self.put_in - self.boxes - self.cull, 3)


class SheetPages:
    def __init__(
        self, databases: Databases, assets: Assets, now: Callable[[], datetime], public_url: str, vault: Vault
    ) -> None:
        self._databases, self._assets, self._now, self._public_url = databases, assets, now, public_url
        self._vault = vault

    def empty(self, request: Request, person: Person, kind: str) -> Response:
        asks = asks_of(kind, person)
        corrects = request.query_params.get("corrects", "")
        typed = self._as_said(person, kind, corrects) if corrects else from_query(asks, request.query_params)
        return self._show(request, person, kind, typed, Wrong())

    def _as_said(self, person: Person, kind: str, corrects: str) -> Typed:
        """As it was recorded, and when it happened: what is right instead happened then too."""
        with access.looking(self._databases, person) as conn:
            past = read_own(conn, _act(corrects))
            stays = undoable(conn, past.id, self._now())
            asked = self._vault.reading(conn, past.facts["asked"])
        if past.kind != kind:
            raise Problem.said(404, "scan_no_act")
        if stays is not None:  # nobody fills in what cannot be sent
            raise Refused([stays]).problem()
        typed = from_said(SHEETS[kind], {**asked, "at": past.facts["done"]["at"]})
        return replace(typed, texts={**typed.texts, CORRECTS: corrects})

    def sent(self, request: Request, person: Person, kind: str, form: Sent) -> Response:
        asks = asks_of(kind, person)
        typed = from_form(asks, form)
        verb, _, what = form.text("do").partition(":")
        if verb == "add" and not what:
            what = _begun(asks, typed)
        if verb:
            typed, wrong = self._filled(request, person, asks, typed, verb, what)
            return self._show(
                request, person, kind, typed, wrong, form.key or "", what if verb == "add" else ""
            )
        return self._recorded(request, person, kind, asks, typed, form)

    # --- filled bit by bit

    def _filled(
        self, request: Request, person: Person, asks: Sequence[Ask], typed: Typed, verb: str, what: str
    ) -> tuple[Typed, Wrong]:
        name, _, row = what.partition(":")
        ask = next((each for each in asks if each.list and each.name == name), None)
        if verb == "drop" and ask is not None and (place := whole(row, 999)) is not None:
            return typing_in.without(typed, ask, place), Wrong()
        if verb == "add" and ask is not None:
            return self._added(request, person, asks, typed, ask)
        return typed, Wrong()  # the sum, or nothing that we know

    def _added(
        self, request: Request, person: Person, asks: Sequence[Ask], typed: Typed, ask: Ask
    ) -> tuple[Typed, Wrong]:
        text = waiting(typed, ask)
        if not text:
            return typed, Wrong()
        try:
            with access.looking(self._databases, person) as conn:
                return added(typed, ask, resolve(conn, text)), Wrong()
        except Refused as refused:
            words = Frame.of(request, person).words
            return typed, Wrong({f"{ask.name}.code": _sentence(words, refused.faults[0])}, (), 422)

    # --- recorded

    def _recorded(
        self, request: Request, person: Person, kind: str, asks: Sequence[Ask], typed: Typed, form: Sent
    ) -> Response:
        """What stands in a list's own fields counts as put on it: one lot needs no second tap."""
        for ask in asks:
            if ask.list and waiting(typed, ask):
                typed, wrong = self._added(request, person, asks, typed, ask)
                if wrong.count:
                    return self._show(request, person, kind, typed, wrong, form.key or "")
        try:
            return done_once(
                self._databases,
                person,
                form,
                lambda conn: self._performed(conn, person, kind, asks, typed),
            )
        except Refused as refused:
            wrong = _wrong(Frame.of(request, person).words, asks, typed, refused)
            return self._show(request, person, kind, typed, wrong, form.key or "")

    def _performed(
        self, conn: psycopg.Connection, person: Person, kind: str, asks: Sequence[Ask], typed: Typed
    ) -> Answer:
        act = read_act(kind, fields_of(asks, typed))
        wrong = typed.text(CORRECTS)
        if wrong:
            done = undo(conn, person, _act(wrong), self._now(), self._public_url, self._vault, act).corrective
            assert done is not None
        else:
            done = perform(conn, person, act, self._now(), self._public_url, self._vault)
        return Answer(303, location=f"/scan/done/{done.act}")

    # --- shown

    def _show(
        self,
        request: Request,
        person: Person,
        kind: str,
        typed: Typed,
        wrong: Wrong,
        key: str = "",
        focus: str = "",
    ) -> Response:
        frame = Frame.of(request, person)
        asks = asks_of(kind, person)
        with access.looking(self._databases, person) as conn:
            standing = read_standing(conn, person, self._now())
            choices = Choices(conn, person, frame.words, standing)
            offered = {ask.name: _offered(ask, typed, choices) for ask in asks}
            names = _names(asks, typed, choices)
        return page(
            "scan_sheet.html",
            frame,
            self._assets,
            frame.words(f"scan_act_{kind}"),
            status=wrong.status,
            kind=kind,
            asks=[ask for ask in asks if not ask.more],
            further=[ask for ask in asks if ask.more],
            open_further=_open_further(asks, typed, wrong, focus),
            typed=typed,
            choices=offered,
            names=names,
            wrong=wrong,
            sums=_sums(typed, standing, choices) if kind == "mix" else None,
            key=key,
            focus=focus,
            grades=GRADES,
            pulps=range(PULPS),
            said=_said(kind, frame.words),
        )


def asks_of(kind: str, person: Person) -> tuple[Ask, ...]:
    if kind not in SHEETS:
        raise Problem.said(404, "scan_no_act")
    if kind not in kinds_for(person):
        raise Problem.said(403, "scan_not_your_act", act=lambda words: words(f"scan_act_{kind}"))
    asks = SHEETS[kind]
    if kind == "load" and person.roles == {"carrier"}:  # whose goods stand with others: at which dock?
        return tuple(replace(ask, required=ask.required or ask.name == "place") for ask in asks)
    return asks


def _begun(asks: Sequence[Ask], typed: Typed) -> str:
    """The list in whose fields something stands: Enter in a form puts it on that list."""
    return next((ask.name for ask in asks if ask.list and waiting(typed, ask)), "")


def _offered(ask: Ask, typed: Typed, choices: Choices) -> list[Choice]:
    """With what is chosen, also where it would not be offered any more: a lot of which nothing is left since, a place from
    which all has gone."""
    found = choices.of(ask.source) if ask.source else []
    chosen = typed.text(ask.name) if ask.input in ("choice", "code") else ""
    return [*found, (chosen, choices.named(chosen))] if chosen and chosen not in dict(found) else found


def _act(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Problem.said(404, "scan_no_act") from None


def _open_further(asks: Sequence[Ask], typed: Typed, wrong: Wrong, focus: str) -> bool:
    """Something in the folded part is wrong, or on a list of it, or was just put there."""
    folded = {ask.name for ask in asks if ask.more}
    filled = {name for name, taken in typed.goods.items() if taken}
    return not folded.isdisjoint({name.partition(".")[0] for name in wrong.fields} | filled | {focus})


def _said(kind: str, words: Words) -> Callable[[str, str], str]:
    """The words of a field: those for this act, else those for all; "" where there are none."""
    catalogue = CATALOGUES[words.language]

    def said(group: str, name: str) -> str:
        return catalogue.get(f"scan_{group}_{kind}_{name}") or catalogue.get(f"scan_{group}_{name}") or ""

    return said


def _sentence(words: Words, fault: object) -> str:
    text, then = fault.text, fault.next  # type: ignore[attr-defined]
    return f"{words.name(text)}{'' if words.language == 'zh' else ' '}{words.name(then)}"


def _wrong(words: Words, asks: Sequence[Ask], typed: Typed, refused: Refused) -> Wrong:
    fields: dict[str, str] = {}
    whole: list[str] = []
    for fault in refused.faults:
        name = typing_in.place_on_page(asks, typed, fault.field)
        if name is None or name in fields:
            whole.append(_sentence(words, fault))
        else:
            fields[name] = _sentence(words, fault)
    return Wrong(fields, whole, refused.status)


def _names(asks: Sequence[Ask], typed: Typed, choices: Choices) -> dict[str, str]:
    codes = {each.lot for ask in asks for each in typed.goods.get(ask.name, ())}
    codes |= {typed.text(ask.name) for ask in asks if ask.input == "code" and typed.text(ask.name)}
    codes |= {code for ask in asks if ask.input == "units" for code in typed.many.get(ask.name, ())}
    return {code: choices.named(code) for code in codes}


def _sums(typed: Typed, standing: Standing, choices: Choices) -> Sums | None:
    """None while nothing can be summed: no input, or one whose weight is not known."""
    inputs = typed.goods.get("inputs", ())
    weights = [_number(each.quantity) if each.quantity else standing.stock.loose(each.lot) for each in inputs]
    if not inputs:
        return None
    net = {product.id: product.net_content_kg or 0.0 for product in choices.products}
    boxes = sum(
        _number(typed.text(f"outputs.{row}.boxes")) * net.get(typed.text(f"outputs.{row}.product"), 0.0)
        for row in range(len(GRADES))
    )
    return Sums(sum(weights), boxes, _number(typed.text("cull_kg")))


def _number(text: str) -> float:
    """For a sum that is only shown: what is no number counts for nothing here, and is refused when the form is sent."""
    try:
        number = float(text or 0)
    except ValueError:
        return 0.0
    return number if 0 <= number < inf else 0.0
