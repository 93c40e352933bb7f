"""Holds more than one batch of each signal, and ends."""

import sys
import time

from tapeline.instrument import setup, span

telemetry = setup("held", log_to_stderr=False)
telemetry.meter.create_counter("work.done").add(1)
for number in range(1500):
    with span("work"):
        telemetry.log.info("line %s", number)
began = time.monotonic()
sys.stdout.write(f"{telemetry.flush(500)} {time.monotonic() - began:.1f}\n")
telemetry.shutdown(1000)
sys.stdout.write(f"{time.monotonic() - began:.1f}\n")
