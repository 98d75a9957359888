"""Joining, against a simple model and against its laws: what meets a combination, what is used up, what is remembered."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async import Occurrence, emitted
from pynenc_async.triggers.conditions import AllOf, AnyOf
from pynenc_async.triggers.joining import Joiner

EVENTS = "abcd"
LEAF = st.sampled_from(EVENTS).map(emitted)
CONDITIONS = st.recursive(
    LEAF,
    lambda parts: st.lists(parts, min_size=2, max_size=3).flatmap(
        lambda some: st.sampled_from([all_of(some), any_of(some)])
    ),
)
NEWS = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from((None, "x", "y", "z")), st.sampled_from((0, 1, 2, 5))),
    max_size=40,
)


def all_of(parts):
    first, *rest = parts
    for part in rest:
        first = first & part
    return first


def any_of(parts):
    first, *rest = parts
    for part in rest:
        first = first | part
    return first


def occurrence(event, moment, number):
    return Occurrence(timestamp=float(moment), invocation_id=None, event=event, payload=number)


@dataclass
class Model:
    """Keeps every occurrence since the last fire that used it up, and looks at all of them each time."""

    condition: object
    within: float | None
    kept: dict = field(default_factory=dict)
    """By key: the tree's leaves in order, each with all that has happened for it."""

    def offer(self, one, key):
        leaves = list(self.condition.leaves())
        kept = self.kept.setdefault(key, [[] for _ in leaves])
        for leaf, happened in zip(leaves, kept, strict=True):
            if leaf.is_met_by(one):
                happened.append(one)
        live = [[seen for seen in happened if self.is_live(seen, one)] for happened in kept]
        met = self.evaluate(self.condition, iter(range(len(leaves))), live)
        if met is None:
            return None
        shown, used = met
        for number in used:
            kept[number].clear()
        return [live[number][-1].payload for number in shown]

    def is_live(self, seen, now):
        return self.within is None or now.timestamp - seen.timestamp <= self.within

    def evaluate(self, condition, numbers, live):
        if not isinstance(condition, (AllOf, AnyOf)):
            number = next(numbers)
            return ([number], [number]) if live[number] else None
        sides = [self.evaluate(part, numbers, live) for part in condition.parts]
        met = [side for side in sides if side is not None]
        used = [number for side in met for number in side[1]]
        if isinstance(condition, AllOf):
            return ([n for side in met for n in side[0]], used) if len(met) == len(sides) else None
        if not met:
            return None
        latest = max(met, key=lambda side: max(live[number][-1].payload for number in side[0]))
        return latest[0], used

    def pending(self, now):
        return sum(
            any(self.is_live(seen, now) for happened in kept for seen in happened) for kept in self.kept.values()
        )


def feed(joiner, condition, news):
    """Yield for each piece of news what it was, and the numbers of what met the condition."""
    moment = 0
    leaves = list(condition.leaves())
    for number, (event, key, pause) in enumerate(news):
        moment += pause
        one = occurrence(event, moment, number)
        met = [index for index, leaf in enumerate(leaves) if leaf.is_met_by(one)]
        if met:
            found = joiner.offer(one, met, key)
            yield one, key, None if found is None else [each.payload for each in found]


@given(CONDITIONS, NEWS, st.sampled_from((None, 1.0, 3.0)))
def test_it_does_what_the_model_does(condition, news, within):
    joiner, model = Joiner(condition, within=within, max_keys=100), Model(condition, within)
    touched = {}
    for one, key, found in feed(joiner, condition, news):
        assert found == model.offer(one, key)
        touched[key] = one.timestamp
        lately = sum(within is None or one.timestamp - moment <= within for moment in touched.values())
        assert model.pending(one) <= joiner.pending <= lately, "what is too late is forgotten, in a while"
        assert within is not None or joiner.pending == model.pending(one)


@given(CONDITIONS, NEWS)
def test_keys_join_as_if_each_had_a_joiner_of_its_own(condition, news):
    together = list(feed(Joiner(condition, within=None, max_keys=100), condition, news))
    for wanted in (None, "x", "y", "z"):
        alone = Joiner(condition, within=None, max_keys=100)
        leaves = list(condition.leaves())
        for one, key, found in together:
            if key == wanted:
                met = [index for index, leaf in enumerate(leaves) if leaf.is_met_by(one)]
                expected = alone.offer(one, met, key)
                assert found == (None if expected is None else [each.payload for each in expected])


@given(CONDITIONS, NEWS, st.sampled_from((0.0, 1.0, 4.0)))
def test_what_is_joined_lies_no_further_apart_than_within(condition, news, within):
    moments = {}
    for one, _, found in feed(Joiner(condition, within=within, max_keys=100), condition, news):
        moments[one.payload] = one.timestamp
        if found is not None:
            assert max(moments[each] for each in found) - min(moments[each] for each in found) <= within


@given(st.lists(LEAF, min_size=1, max_size=3).map(any_of), NEWS)
def test_without_an_and_everything_fires_and_nothing_is_remembered(condition, news):
    joiner = Joiner(condition, within=None, max_keys=100)
    assert all(found == [one.payload] for one, _, found in feed(joiner, condition, news))
    assert joiner.pending == 0


@given(NEWS)
def test_an_and_fires_when_each_has_happened_since_it_last_fired(news):
    condition = all_of(map(emitted, EVENTS))
    since = set()
    for one, _, found in feed(
        Joiner(condition, within=None, max_keys=9), condition, [(a, None, c) for a, _, c in news]
    ):
        since.add(one.event)
        assert (found is not None) == (since == set(EVENTS))
        if found is not None:
            since.clear()


@given(NEWS)
def test_a_fire_by_one_side_of_an_or_leaves_the_other_as_it_was(news):
    """`(a & b) | c` fires for `c`, and for `a` and `b` as often as `a & b` alone."""
    a, b, c, _ = map(emitted, EVENTS)
    pair = [found for _, _, found in feed(Joiner(a & b, within=None, max_keys=9), a & b, news)]
    both = list(feed(Joiner(a & b | c, within=None, max_keys=9), a & b | c, news))
    assert [found for one, _, found in both if one.event != "c"] == pair
    assert all(found == [one.payload] for one, _, found in both if one.event == "c")


def fires(condition, events):
    joiner = Joiner(condition, within=None, max_keys=9)
    return [found for _, _, found in feed(joiner, condition, [(event, None, 1) for event in events])]


def test_of_several_occurrences_of_one_condition_the_latest_counts():
    assert fires(emitted("a") & emitted("b"), "aaab") == [None, None, None, [2, 3]]


def test_an_or_within_an_and_passes_the_latest_side_on_and_uses_all_of_them_up():
    a, b, c, _ = map(emitted, EVENTS)
    assert fires((a | b) & c, "abcbc") == [None, None, [1, 2], None, [3, 4]]
    assert fires((a | b) & c, "bac") == [None, None, [1, 2]]
    assert fires((a | b) & c, "abcc") == [None, None, [1, 2], None]
    assert fires((a & b | b) & c, "abc") == [None, None, [0, 1, 2]], "of equally late sides the first one written"


def test_one_occurrence_may_meet_several_conditions():
    assert fires(emitted("a") & emitted("a"), "aa") == [[0, 0], [1, 1]]


@pytest.mark.parametrize("most", [1, 3])
def test_of_too_many_keys_the_one_that_waited_longest_is_dropped(most):
    condition = emitted("a") & emitted("b")
    joiner = Joiner(condition, within=None, max_keys=most)
    keys = range(most + 2)
    assert not any(joiner.offer(occurrence("a", 0, key), [0], key) for key in keys)
    assert (joiner.pending, joiner.dropped) == (most, 2)
    kept, dropped = keys[2:], keys[:2]
    assert all(joiner.offer(occurrence("b", 0, key), [1], key) for key in kept)
    assert not any(joiner.offer(occurrence("b", 0, key), [1], key) for key in dropped)


def test_a_key_that_something_happens_to_waits_anew():
    condition = emitted("a") & emitted("b") & emitted("c")
    joiner = Joiner(condition, within=None, max_keys=2)
    for event, key in (("a", "x"), ("a", "y"), ("b", "x"), ("a", "z")):
        joiner.offer(occurrence(event, 0, 0), ["abc".index(event)], key)
    assert joiner.dropped == 1, "y has waited longest"
    assert joiner.offer(occurrence("c", 0, 0), [2], "x") is not None


def test_keys_that_are_too_late_are_forgotten_without_being_asked_for():
    joiner = Joiner(emitted("a") & emitted("b"), within=10, max_keys=1_000)
    for number in range(500):
        joiner.offer(occurrence("a", number, number), [0], number)
    assert joiner.pending == 11
    assert joiner.dropped == 0
