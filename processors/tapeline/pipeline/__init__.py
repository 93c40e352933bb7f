"""The pipeline: batches, processors, the chain, and the configuration that builds it."""
