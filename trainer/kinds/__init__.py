"""Runs that do not train, a module a kind: ``run(work)`` does it and returns the metrics."""
