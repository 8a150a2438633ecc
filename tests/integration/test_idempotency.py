"""A request made twice is done once, on a real database: one after the other, both at once, and after a refusal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg import errors
from psycopg_pool import ConnectionPool

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, open_session, session_of
from tests.integration.said import REGISTRY
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer, fingerprint_of, once
from trace_api.problems import Problem

KEY = "a-key-of-a-form"
SAME, OTHER = fingerprint_of("/scan/load", [("kg", "7")]), fingerprint_of("/scan/load", [("kg", "70")])


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


@pytest.fixture
def databases(instance: Instance) -> Iterator[Databases]:
    with ExitStack() as stack:
        pools = (
            ConnectionPool(instance.database.service(role), min_size=0, max_size=12, open=False)
            for role in ("api", "public")
        )
        yield Databases(*(stack.enter_context(pool) for pool in pools))


@pytest.fixture
def lin(instance: Instance) -> Person:
    return signed_in_as(instance, "lin", "coop", "packer")


def signed_in_as(instance: Instance, login: str, organisation: str, role: str) -> Person:
    account: UUID = add_person(instance, login, role, organisation=organisation)
    open_session(instance, account)
    session = bytes.fromhex(session_of(account))
    return Person(account, login, login, organisation, frozenset({role}), session=session)


class Work:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> Answer:
        self.done += 1
        return Answer(201, {"number": self.done}, f"/done/{self.done}")


def ask(
    databases: Databases, person: Person, work: Work, fingerprint: bytes = SAME, key: str | None = KEY
) -> Answer:
    with access.acting(databases, person) as conn:
        return once(conn, person, key, fingerprint, work)


def test_the_second_time_gets_the_first_answer(databases: Databases, lin: Person) -> None:
    work = Work()
    first, second = ask(databases, lin, work), ask(databases, lin, work)
    assert work.done == 1
    assert (first.status, first.body, first.location) == (second.status, second.body, second.location)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.response().body == second.response().body


@pytest.mark.whole_server
def test_two_at_once_are_one(instance: Instance, databases: Databases, lin: Person) -> None:
    """Both are inside before either is done: the second waits for the first one's commit."""
    work, inside, go = Work(), threading.Barrier(2), threading.Event()
    answers: list[Answer] = []

    def slow() -> Answer:
        assert go.wait(20)
        return work()

    def tap() -> None:
        inside.wait(20)
        with access.acting(databases, lin) as conn:
            answers.append(once(conn, lin, KEY, SAME, slow))

    threads = [threading.Thread(target=tap) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    assert wait_until(lambda: instance.one(waiting) == 1, 20), "one of them waits"
    go.set()
    for thread in threads:
        thread.join(20)
    assert work.done == 1
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert {answer.location for answer in answers} == {"/done/1"}


def test_many_at_once_are_one(databases: Databases, lin: Person) -> None:
    work, together = Work(), threading.Barrier(8)

    def tap() -> None:
        together.wait(20)
        ask(databases, lin, work)

    threads = [threading.Thread(target=tap) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert work.done == 1


def test_who_waited_for_one_that_failed_does_the_work(databases: Databases, lin: Person) -> None:
    """The first takes the key and breaks off; the second must not be told that it was done."""
    work, held, broken = Work(), threading.Event(), threading.Event()

    def breaks() -> Answer:
        held.set()
        assert broken.wait(20)
        raise Problem(409, "No", "not so")

    def first() -> None:
        with pytest.raises(Problem), access.acting(databases, lin) as conn:
            once(conn, lin, KEY, SAME, breaks)

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(20)
    second = threading.Thread(target=ask, args=(databases, lin, work))
    second.start()
    broken.set()
    thread.join(20)
    second.join(20)
    assert work.done == 1


def test_a_refusal_is_not_kept(databases: Databases, lin: Person) -> None:
    def refuse() -> Answer:
        raise Problem(409, "No", "not so")

    with pytest.raises(Problem), access.acting(databases, lin) as conn:
        once(conn, lin, KEY, SAME, refuse)
    work = Work()
    assert not ask(databases, lin, work).replayed
    assert work.done == 1


def test_what_was_done_and_its_answer_are_kept_together_or_not_at_all(
    instance: Instance, databases: Databases, lin: Person
) -> None:
    def breaks_off() -> None:
        with access.acting(databases, lin) as conn:
            once(conn, lin, KEY, SAME, Work())
            raise RuntimeError("the process ends before the commit")

    with pytest.raises(RuntimeError):
        breaks_off()
    assert instance.one("SELECT count(*) FROM idempotency") == 0


def test_a_key_used_for_something_else_is_refused(databases: Databases, lin: Person) -> None:
    work = Work()
    ask(databases, lin, work)
    with pytest.raises(Problem) as refused:
        ask(databases, lin, work, OTHER)
    assert refused.value.status == 422 and work.done == 1


@pytest.mark.parametrize("key", [None, "", "short", "x" * 201, "eight\nchars"])
def test_without_a_proper_key_nothing_is_done(databases: Databases, lin: Person, key: str | None) -> None:
    work = Work()
    with pytest.raises(Problem) as refused:
        ask(databases, lin, work, key=key)
    assert refused.value.status == 400 and work.done == 0


def test_a_key_is_its_askers_own(instance: Instance, databases: Databases, lin: Person) -> None:
    """The same words by somebody else, or by the organisation's program, are another key; and nobody reads another's."""
    work = Work()
    others = [
        signed_in_as(instance, "wu", "carrier", "carrier"),
        Person(None, "", "Coop", "coop", frozenset({"packer"})),
        Person(None, "", "Carrier", "carrier", frozenset({"carrier"})),
    ]
    ask(databases, lin, work)
    for number, person in enumerate(others, start=2):
        assert ask(databases, person, work, OTHER).body == {"number": number}
    for person in others:
        with access.acting(databases, person) as conn:
            assert conn.execute("SELECT count(*) FROM idempotency").fetchone() == (1,)
            with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
                conn.execute(
                    "INSERT INTO idempotency (scope, key, fingerprint, status, body) VALUES (%s, %s, '', 200, '{}')",
                    [f"account:{lin.account}", str(uuid4())],
                )
    with access.nobody(databases) as conn:
        assert conn.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)


def test_old_answers_go_when_new_ones_come(instance: Instance, databases: Databases, lin: Person) -> None:
    work = Work()
    ask(databases, lin, work)
    instance.alter("UPDATE idempotency SET created_at = created_at - INTERVAL '8 days'")
    ask(databases, lin, work, key="another-key")
    assert instance.rows("SELECT key FROM idempotency") == [("another-key",)]


def test_a_fingerprint_is_of_all_that_was_asked_for() -> None:
    assert fingerprint_of("/a", {"x": 1, "y": 2}) == fingerprint_of("/a", {"y": 2, "x": 1})
    different = [fingerprint_of("/a", {"x": 1}), fingerprint_of("/b", {"x": 1}), fingerprint_of("/a", {"x": 2}),
                 fingerprint_of("/a", {"x": "1"}), fingerprint_of("/a"), SAME, OTHER]  # fmt: skip
    assert len(set(different)) == len(different)
