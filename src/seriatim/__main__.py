"""``python -m seriatim`` is ``seriatim``."""

from __future__ import annotations

import sys

from seriatim.cli import main

if __name__ == "__main__":
    sys.exit(main())
