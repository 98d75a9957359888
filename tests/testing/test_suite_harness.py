"""What `tests/conftest.py` does to the tests of this suite."""

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
REAL_LOOPS = 4 if sys.version_info >= (3, 12) else 3


@pytest.fixture
def suite(pytester, monkeypatch):
    pytest.importorskip("uvloop")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # nothing but the conftest is under test
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini("[pytest]\nfilterwarnings = error\nmarkers = soak: long\naddopts = --strict-markers")
    return pytester


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
    suite.runpytest().assert_outcomes(passed=REAL_LOOPS + 1 + 2 + 1)
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
    lines = ["test_which*[[]asyncio-debug[]] asyncio.unix_events True False"]
    lines += ["test_which*[[]uvloop[]] uvloop* False False"]
    lines += ["test_which*[[]virtual[]] pynenc_async.testing.virtual_loop False False"]
    lines += ["test_which*[[]eager[]] asyncio.unix_events False True"] * (REAL_LOOPS - 3)
    suite.runpytest("-s").stdout.fnmatch_lines([f"*{line}*" for line in lines])


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


def test_soaks_run_only_when_asked_for(suite):
    suite.makepyfile("""
        import pytest

        @pytest.mark.soak
        async def test_long():
            pass
    """)
    suite.runpytest("--loop=virtual").assert_outcomes(deselected=1)
    suite.runpytest("--loop=virtual", "-m", "soak").assert_outcomes(passed=1)
