"""Runs the whole stack as child processes, where there is no container engine."""
