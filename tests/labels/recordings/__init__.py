"""Files that annotation tools' own packages wrote, and what those packages paint from them; see README.md."""

from pathlib import Path

RECORDINGS = Path(__file__).parent
