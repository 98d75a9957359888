"""`python -m pynenc_async`."""

import sys

from pynenc_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
