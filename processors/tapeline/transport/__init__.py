"""The gRPC side: takes OTLP in, runs the chain, forwards, and answers as the contract says."""
