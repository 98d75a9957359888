"""Pure decisions: who runs next, who waits, who is told. Nothing here awaits, reads a clock or knows an event loop."""
