"""``python -m pantile``, which is ``pantile``."""

import sys

from pantile.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
