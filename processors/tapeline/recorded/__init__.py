"""Recordings on disk: OTLP requests in files, in the forms of the collector's file exporter."""
