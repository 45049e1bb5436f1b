"""Models that answer rows, and what their answers are worth."""
