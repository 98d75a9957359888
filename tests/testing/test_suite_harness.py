"""What `tests/conftest.py` does to the tests of this suite."""

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
REAL_LOOPS = 4 if sys.version_info >= (3, 12) else 3


@pytest.fixture
def suite(pytester):
    pytest.importorskip("uvloop")
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text().replace('testpaths = ["tests"]', ""))
    return pytester


@pytest.mark.slow
def test_an_async_test_runs_on_every_loop_and_a_virtual_one_on_the_virtual(suite):
    suite.makepyfile("""
        import asyncio, pytest

        class TestInAClass:
            async def test_anywhere(self, tmp_path):
                assert tmp_path.exists()

        @pytest.mark.virtual
        @pytest.mark.parametrize("hours", [1, 2])
        async def test_hours(hours):
            await asyncio.sleep(hours * 3600)

        def test_sync():
            pass
    """)
    suite.runpytest("--loop=all").assert_outcomes(passed=REAL_LOOPS + 1 + 2 + 1)
    suite.runpytest().assert_outcomes(passed=1 + 2 + 1)
    suite.runpytest("--loop=virtual", "--seeds=3").assert_outcomes(passed=3 + 2 * 3 + 1)
    suite.runpytest("--loop=uvloop").assert_outcomes(passed=1 + 1, skipped=2)


def test_the_loops_are_what_they_are_called(suite):
    suite.makepyfile("""
        import asyncio

        async def test_which(request):
            loop = asyncio.get_running_loop()
            task = asyncio.current_task()
            print(request.node.name, type(loop).__module__, loop.get_debug(), loop.get_task_factory() is not None)
    """)
    lines = ["test_which*[[]asyncio[]] asyncio.unix_events False False"]
    lines += ["test_which*[[]asyncio-debug[]] *conftest True False"]
    lines += ["test_which*[[]uvloop[]] uvloop* False False"]
    lines += ["test_which*[[]virtual[]] pynenc_async.testing.virtual_loop False False"]
    lines += ["test_which*[[]eager[]] asyncio.unix_events False True"] * (REAL_LOOPS - 3)
    suite.runpytest("-s", "--loop=all").stdout.fnmatch_lines([f"*{line}*" for line in lines])


def test_a_task_left_behind_fails_the_test_and_is_named(suite):
    suite.makepyfile("""
        import asyncio

        async def test_leaks():
            asyncio.get_running_loop().leak = asyncio.create_task(asyncio.Event().wait(), name="the leak")

        async def test_ends_by_itself():
            asyncio.get_running_loop().brief = asyncio.create_task(asyncio.sleep(0))
    """)
    result = suite.runpytest("--loop=virtual")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["the test left tasks behind:", "task 'the leak' waits for <Future pending*"])


@pytest.mark.slow
def test_a_deadlock_fails_the_test_with_the_report_alone(suite):
    suite.makepyfile("""
        import asyncio

        async def test_hangs():
            await asyncio.Event().wait()
    """)
    result = suite.runpytest("--loop=virtual")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["deadlock at virtual time*", "*in test_hangs"])
    result.stdout.no_fnmatch_line("*autojump.py*")


@pytest.mark.slow
def test_a_failing_assertion_is_reported_from_the_test_inwards(suite):
    suite.makepyfile("""
        async def test_wrong():
            answer = 41
            assert answer == 42
    """)
    result = suite.runpytest("--loop=asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       assert answer == 42", "E       assert 41 == 42"])
    result.stdout.no_fnmatch_line("*runners.py*")


def test_an_exception_that_nobody_retrieved_fails_the_test(suite):
    suite.makepyfile("""
        import asyncio

        async def fail():
            raise LookupError("unseen")

        async def test_forgets():
            task = asyncio.create_task(fail())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            del task
    """)
    result = suite.runpytest("--loop=asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the loop reported:", "*never retrieved*", "LookupError: unseen"])


@pytest.mark.parametrize("mark", ["slow", "soak"])
def test_what_takes_long_runs_only_when_asked_for(suite, mark):
    suite.makepyfile(f"""
        import pytest

        @pytest.mark.{mark}
        async def test_long():
            pass
    """)
    suite.runpytest("--loop=virtual").assert_outcomes(deselected=1)
    suite.runpytest("--loop=virtual", "-m", mark).assert_outcomes(passed=1)


@pytest.mark.slow
def test_each_async_test_has_a_fresh_loop(suite):
    suite.makepyfile("""
        import asyncio, pytest

        met = []

        @pytest.mark.parametrize("number", range(3))
        async def test_meets_no_loop_again(number):
            assert asyncio.get_running_loop() not in met
            assert all(loop.is_closed() for loop in met)
            met.append(asyncio.get_running_loop())
    """)
    suite.runpytest("--loop=all").assert_outcomes(passed=3 * (REAL_LOOPS + 1))


def test_what_the_loop_reports_while_it_closes_fails_the_test(suite):
    suite.makepyfile("""
        import asyncio

        async def numbers():
            try:
                yield 1
            finally:
                raise LookupError("unseen")

        async def test_leaves_a_generator_open():
            asyncio.get_running_loop().opened = opened = numbers()
            await anext(opened)
    """)
    result = suite.runpytest("--loop=asyncio")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the loop reported:", "LookupError: unseen"])
