"""The smallest use: one span, one line, one count; then the process ends by itself."""

import os
import sys

from tapeline.instrument import setup, span

telemetry = setup("bare", sample_ratio=float(os.environ.get("RATIO", "1")))
with span("work", {"symbol": "AAPL"}):
    telemetry.log.info("working")
telemetry.meter.create_counter("work.done").add(1)
sys.stdout.write(f"{'fastapi' in sys.modules} {'grpc' in sys.modules}\n")
