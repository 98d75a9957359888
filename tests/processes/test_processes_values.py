"""What reaches a body in a process is what was passed, or the call is refused."""

import datetime as dt
from decimal import Decimal

import process_bodies as bodies
import pytest
import unresolved_bodies
from helpers import assert_at_rest
from process_helpers import in_process

from pynenc_async import Pynenc, SerializationError

MOMENT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


class Express(bodies.Order):
    """A subclass of what is annotated."""


REFUSED = {
    "a subclass": (bodies.postpone, (Express(1, MOMENT), dt.timedelta(1)), "arguments.order"),
    "a tuple without an annotation": (bodies.untyped, ([(1,)],), "arguments.values[0][0]"),
    "another type than is annotated": (bodies.add, ("1", 2), "arguments.a"),
    "an object": (bodies.add, (object(), 2), "arguments.a"),
    "an unresolved annotation": (unresolved_bodies.double, (Decimal("1.10"),), "arguments.price"),
    "an annotation unresolved in a part": (unresolved_bodies.total, ([Decimal("1.10")],), "arguments.prices"),
    "an unresolved annotation of the result": (unresolved_bodies.price, (), "result"),
    "an unresolved annotation of the items": (unresolved_bodies.prices, (), "result"),
}


@pytest.mark.parametrize(("body", "arguments", "field"), REFUSED.values(), ids=REFUSED)
async def test_what_would_arrive_changed_is_refused_at_the_call(body, arguments, field):
    async with Pynenc(max_processes=1) as app:
        task = in_process(app, body)
        with pytest.raises(SerializationError) as caught:
            task(*arguments)
        with pytest.raises(SerializationError):
            task.parallelize([arguments])
        with pytest.raises(SerializationError):
            await task.submit(*arguments)
        assert app.invocations() == []
        await assert_at_rest(app)
    assert caught.value.field == field
    assert body.__name__ in str(caught.value)


async def test_the_very_objects_reach_bodies_that_stay_in_the_process():
    async with Pynenc() as app:
        task = app.task(unresolved_bodies.double)
        assert await task(Decimal("1.10")) == "1.10"
        assert await app.task(bodies.untyped)((1,), x={2}) == [((1,),), {"x": {2}}]


@pytest.mark.slow
async def test_values_keep_their_order_and_results_are_checked_likewise():
    async with Pynenc(max_processes=1) as app:
        assert await in_process(app, bodies.untyped)({"z": 1, "a": 2}, y=1, b=2) == [
            [{"z": 1, "a": 2}],
            {"y": 1, "b": 2},
        ]
        order = await in_process(app, bodies.order_of)({"z": 1, "a": 2}, y=1, b=2)
        assert order == ["z", "a", "y", "b"]
        with pytest.raises(SerializationError, match=r"^result\[0\]: is of type tuple") as caught:
            await in_process(app, bodies.tuples_in_a_list)()
        assert caught.value.field == "result[0]"
        with pytest.raises(SerializationError, match=r"^item: is of type tuple"):
            _ = [item async for item in in_process(app, bodies.tuples_one_by_one)().stream()]
