"""Several adapters as one adapter, several models as one model; see docs/merging.md."""
