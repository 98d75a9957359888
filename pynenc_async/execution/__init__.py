"""Where bodies run: on the event loop, carried by asyncio Tasks, or in threads."""
