"""Measures the numbers that Finestra holds itself to; nothing here is a test."""
