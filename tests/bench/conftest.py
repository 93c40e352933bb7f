"""Lets the tests import the bench's modules, which are scripts below the root, not a package."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT))
