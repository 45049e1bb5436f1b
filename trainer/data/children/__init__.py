"""Work on data in a process of its own, within limits."""
