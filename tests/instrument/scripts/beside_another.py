"""A process that has a tracer provider already, as behind opentelemetry-instrument."""

import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_tracer_provider

from tapeline.instrument import SetupError, setup

set_tracer_provider(TracerProvider())
try:
    setup("orders")
except SetupError as error:
    sys.stdout.write(f"{error}\n")
