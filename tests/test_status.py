"""The status machine: the table against the design, and what `advance` accepts against the table."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async.errors import InvocationStatusError
from pynenc_async.status import INITIAL, RULES, InvocationStatus, Ownership, StatusRecord, advance

# The table of the design, written a second time on purpose: status | next | final or may be run | ownership.
DESIGN = """
scheduled                    | registered cancelled                                                            |       | none
registered                   | pending concurrency_controlled concurrency_controlled_final cancelled           | run   | none
concurrency_controlled       | rerouted cancelled                                                              |       | none
concurrency_controlled_final |                                                                                 | final | none
rerouted                     | pending concurrency_controlled cancelled                                        | run   | none
pending                      | running rerouted killed pending_recovery cancelled                              |       | acquires
pending_recovery             | rerouted                                                                        |       | overrides_and_releases
running                      | paused retry success failed killed running_recovery cancelled                   |       | required
paused                       | resumed killed running_recovery cancelled                                       |       | required
resumed                      | paused retry success failed killed running_recovery cancelled                   |       | required
running_recovery             | rerouted failed                                                                 |       | overrides_and_releases
retry                        | pending cancelled                                                               | run   | releases
killed                       | rerouted                                                                        |       | releases
success                      |                                                                                 | final | releases
failed                       |                                                                                 | final | releases
cancelled                    |                                                                                 | final | releases
"""  # noqa: E501 - a table is read by its columns
S = InvocationStatus
OWNED = {S.PENDING, S.RUNNING, S.PAUSED, S.RESUMED}
RECOVERIES = {S.PENDING_RECOVERY, S.RUNNING_RECOVERY}
MOVES = [(status, following) for status, rule in RULES.items() for following in rule.next]
every_status = pytest.mark.parametrize("status", InvocationStatus)
every_move = pytest.mark.parametrize(("status", "following"), MOVES)
statuses = st.sampled_from(InvocationStatus)


def design() -> Iterator[tuple[str, set[str], str, str]]:
    for row in DESIGN.strip().splitlines():
        status, following, mark, ownership = (cell.strip() for cell in row.split("|"))
        yield status, set(following.split()), mark, ownership


def record(status: InvocationStatus, *, attempt: int = 2) -> StatusRecord:
    return StatusRecord(status=status, runner_id="owner" if status in OWNED else None, attempt=attempt)


records = st.builds(record, statuses, attempt=st.integers(0, 3))
writes = st.tuples(statuses, st.sampled_from(["owner", "other"]), st.integers(0, 4))


def accepts(current: StatusRecord | None, to: InvocationStatus, runner_id: str, attempt: int) -> StatusRecord | None:
    try:
        return advance(current, to, runner_id=runner_id, attempt=attempt)
    except InvocationStatusError:
        return None


# The table


def test_the_table_is_the_one_of_the_design():
    def mark(status):
        return "final" if status.is_final() else "run" if status.is_available_to_run() else ""

    written = [(str(s), set(map(str, rule.next)), mark(s), str(rule.ownership)) for s, rule in RULES.items()]
    assert written == list(design())


def test_an_invocation_begins_registered_or_scheduled():
    assert set(INITIAL) == {S.REGISTERED, S.SCHEDULED}


def test_every_status_has_one_row_in_the_order_of_the_enum():
    assert list(RULES) == list(InvocationStatus)


@every_status
def test_a_status_equals_its_name_in_lower_case(status):
    assert status == status.name.lower()


@every_status
def test_a_status_is_final_exactly_when_nothing_follows_it(status):
    assert status.is_final() is RULES[status].final is (not RULES[status].next)


@every_status
def test_a_status_can_transition_to_what_its_row_says_and_to_nothing_else(status):
    assert {other for other in InvocationStatus if status.can_transition_to(other)} == set(RULES[status].next)


@every_status
def test_what_may_be_run_can_be_picked(status):
    assert status.is_available_to_run() is status.can_transition_to(S.PENDING)


@every_status
def test_the_meaning_of_a_status_is_in_the_help(status):
    assert f"{status.name}: {RULES[status].meaning}" in str(InvocationStatus.__doc__)


def test_every_status_is_reachable_from_a_beginning():
    reached, edge = set[InvocationStatus](), set(INITIAL)
    while edge:
        reached |= edge
        edge = {following for status in edge for following in RULES[status].next} - reached
    assert reached == set(InvocationStatus)


@every_status
def test_every_status_leads_to_an_end(status):
    ahead = {status}
    while not any(s.is_final() for s in ahead):
        wider = ahead | {following for s in ahead for following in RULES[s].next}
        assert wider != ahead
        ahead = wider


def test_a_required_status_follows_only_owned_ones():
    required = {status for status, rule in RULES.items() if rule.ownership is Ownership.REQUIRED}
    assert all(status in OWNED for status, following in MOVES if following in required)


def test_the_rows_cannot_be_changed():
    with pytest.raises(TypeError):
        RULES[S.SUCCESS] = RULES[S.FAILED]
    with pytest.raises(AttributeError):
        RULES[S.SUCCESS].final = False


# What `advance` accepts


@every_status
def test_a_new_invocation_begins_only_as_the_table_says_and_without_owner(status):
    begun = accepts(None, status, "owner", 0)
    expected = StatusRecord(status=status, runner_id=None, attempt=0) if status in INITIAL else None
    assert begun == expected


@every_move
def test_the_rightful_writer_may_make_every_move_of_the_table(status, following):
    assert advance(record(status), following, runner_id="owner", attempt=2) == record(following)


@given(records, writes)
def test_whatever_is_accepted_is_a_move_of_the_table(current, write):
    if accepts(current, *write):
        assert write[0] in RULES[current.status].next


@given(st.lists(writes, max_size=80))
def test_whatever_is_written_only_an_owned_status_has_an_owner_and_attempts_only_grow(attempted):
    current = advance(None, S.REGISTERED, runner_id="owner", attempt=0)
    for to, runner_id, attempt in attempted:
        after = accepts(current, to, runner_id, attempt) or current
        assert (after.runner_id is not None) is (after.status in OWNED)
        assert after.attempt == current.attempt or (after.attempt > current.attempt and after.status is S.PENDING)
        current = after


@given(st.sampled_from([s for s in InvocationStatus if s.is_final()]), writes)
def test_a_final_status_never_changes(status, write):
    assert accepts(record(status), *write) is None


@pytest.mark.parametrize(("status", "following"), [move for move in MOVES if move[0] in OWNED])
def test_only_a_recovery_may_move_what_another_runner_owns(status, following):
    moved = accepts(record(status), following, "other", 2)
    assert moved == (record(following) if following in RECOVERIES else None)


@every_move
def test_an_attempt_that_is_over_can_write_nothing(status, following):
    assert accepts(record(status), following, "owner", 1) is None


@every_move
def test_only_a_pick_begins_a_later_attempt(status, following):
    moved = accepts(record(status), following, "owner", 3)
    assert moved == (record(following, attempt=3) if following is S.PENDING else None)


def test_a_runner_that_lost_its_lease_is_refused_even_after_it_was_picked_again_by_itself():
    current = record(S.RUNNING, attempt=1)
    for to, attempt in [(S.RUNNING_RECOVERY, 1), (S.REROUTED, 1), (S.PENDING, 2), (S.RUNNING, 2)]:
        current = advance(current, to, runner_id="owner", attempt=attempt)
    with pytest.raises(InvocationStatusError, match="attempt 1 is over"):
        advance(current, S.SUCCESS, runner_id="owner", attempt=1)


def test_what_nobody_owns_may_be_cancelled_by_anybody():
    assert advance(record(S.REGISTERED), S.CANCELLED, runner_id="other", attempt=2) == record(S.CANCELLED)


def test_what_nobody_owns_cannot_go_where_an_owner_is_required():
    orphan = StatusRecord(status=S.PENDING, runner_id=None, attempt=0)
    with pytest.raises(InvocationStatusError, match="its owner is None"):
        advance(orphan, S.RUNNING, runner_id="owner", attempt=0)


# What a refusal says


def test_a_forbidden_move_names_both_statuses_and_the_allowed_ones():
    with pytest.raises(InvocationStatusError, match=r"from rerouted to success; .*: pending, concurrency_controlled, "):
        advance(record(S.REROUTED), S.SUCCESS, runner_id="owner", attempt=2)


def test_a_forbidden_beginning_names_the_allowed_ones():
    with pytest.raises(InvocationStatusError, match="begin as running; it begins as registered or scheduled"):
        advance(None, S.RUNNING, runner_id="owner", attempt=0)


def test_a_move_from_a_final_status_says_that_it_is_final():
    with pytest.raises(InvocationStatusError, match=r"from failed to retry; .* failed is final"):
        advance(record(S.FAILED), S.RETRY, runner_id="owner", attempt=2)


def test_a_late_owner_is_told_who_owns_the_invocation_now():
    with pytest.raises(InvocationStatusError, match=r"runner 'late' .* from running to success: its owner is 'owner'"):
        advance(record(S.RUNNING), S.SUCCESS, runner_id="late", attempt=2)


def test_an_attempt_that_has_not_begun_is_named():
    with pytest.raises(InvocationStatusError, match=r"attempt 3 has not begun: .* running in attempt 2"):
        advance(record(S.RUNNING), S.SUCCESS, runner_id="owner", attempt=3)
