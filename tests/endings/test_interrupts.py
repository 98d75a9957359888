"""A KeyboardInterrupt that comes while something is logged, or told, ends the program, and breaks off nothing else."""

import asyncio
import logging

import pytest

from pynenc_async import Pynenc, failed


class Interrupted(logging.Handler):
    """Raises once, as somebody at the keyboard does; may be called as well."""

    has_raised = False

    def emit(self, record):
        if not self.has_raised:
            self.has_raised = True
            raise KeyboardInterrupt

    def __call__(self, _):
        self.emit(None)
        return ()


@pytest.mark.parametrize("where", ["handler", "observer", "trigger"])
def test_a_keyboard_interrupt_in_a_callback_is_not_swallowed(where):
    app, logger, handler, kept = Pynenc(), logging.getLogger("pynenc_async"), Interrupted(), []

    @app.task(max_retries=1, retry_if=lambda error: 1 / 0)
    async def work():
        raise LookupError

    async def main():
        if where == "observer":
            app.observe(handler)
        elif where == "trigger":
            app.on(failed(work), arguments=handler)(work)
        else:
            logger.addHandler(handler)
        kept.append(work())
        await kept[0].wait()
        await asyncio.sleep(60)

    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
    finally:
        logger.removeHandler(handler)
    assert isinstance(kept[0].exception(), LookupError)
