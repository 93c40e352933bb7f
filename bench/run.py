"""`make bench`: the gate beside a trivial relay, the collector and Rotel, in one run.

Usage: .venv/bin/python bench/run.py [--quick] [--pure] [--only NAME ...] [--output FILE]
"""

import sys
from pathlib import Path

# The modules of the bench are a namespace below the root: this script may be run from anywhere.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
