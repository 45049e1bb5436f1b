"""Evaluations in the studio: what is known before one is queued, and what it has found."""
