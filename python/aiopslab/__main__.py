"""``python -m aiopslab``: the command line."""

import sys

from aiopslab.cli import main

if __name__ == "__main__":
    sys.exit(main())
