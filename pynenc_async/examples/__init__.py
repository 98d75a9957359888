"""Programs to read and to run: `python -m pynenc_async.examples.quickstart`, and `.service`."""
