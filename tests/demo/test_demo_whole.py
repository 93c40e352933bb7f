"""`tapeline demo` with the real servers: up, proven, and gone without a trace."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ports import ports_in_a_row
from tapeline.demo.credentials import planted_credentials
from tapeline.stack import binaries
from tapeline.stack.ports import Ports
from tapeline.stack.topology import SERVER_NAMES

SEED = 5
PROGRAM = """
import sys
from pathlib import Path
from tapeline.demo.command import demo_command
run_dir, port_base, seed = sys.argv[1:]
sys.exit(demo_command("all", rate=20.0, seed=int(seed), duration="2s",
                      run_dir=Path(run_dir), port_base=int(port_base)))
"""
SERVICES = ("back_office", "gateway", "strategy")


@pytest.mark.stack
def test_the_demo_comes_up_proves_redaction_and_leaves_nothing(tmp_path: Path) -> None:
    """Every server is in the READY table, both records come back redacted, and all of it ends."""
    for name in ("collector", "prometheus", "loki", "jaeger", "node_exporter"):
        if binaries.find(name) is None:
            pytest.skip(f"{name} is not built: make binaries")
    port_base = ports_in_a_row(len(fields(Ports)) + len(SERVICES))
    run_dir = tmp_path / "parent" / "demo"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(run_dir), str(port_base), str(SEED)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    output = done.stdout

    assert done.returncode == 0, output + done.stderr
    table = re.findall(r"^  (\w+) +([\d.]+) s +(\d+)  (\S+)$", output, re.MULTILINE)
    assert {name for name, *_ in table} == {*SERVER_NAMES, *SERVICES}
    arrived = [line for line in output.splitlines() if re.match(r" +(Loki|Jaeger) ", line)]
    assert len(arrived) == 2, output
    for line in arrived:
        assert "REDACTED" in line
        assert not any(secret in line for secret in planted_credentials(SEED))
    assert not run_dir.parent.exists()
    for _, _, process_id, _ in table:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process_id), 0)
