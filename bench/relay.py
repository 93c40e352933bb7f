"""The trivial relay: a few lines of grpc that pass bytes on. The yardstick of every figure.

Usage: relay.py LISTEN DOWNSTREAM, as in `relay.py 127.0.0.1:4319 127.0.0.1:4321`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from bench.wire import OPTIONS, RawHandler, raw_method

from tapeline.otlp.signals import SERVICES


def main(listen: str, downstream: str) -> None:
    """Relay until killed."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=OPTIONS)
    channel = grpc.insecure_channel(downstream, options=OPTIONS)
    for service in SERVICES:
        forward = raw_method(channel, service.export_method)
        handler: RawHandler = grpc.unary_unary_rpc_method_handler(
            lambda payload, _, forward=forward: forward(payload)
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.name, {"Export": handler}),)
        )
    server.add_insecure_port(listen)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
