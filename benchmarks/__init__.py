"""Speed and memory of pynenc_async, side by side with what it replaces: `python -m benchmarks --help`."""
