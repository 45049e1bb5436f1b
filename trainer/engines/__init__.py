"""Engines that answer: what a name means, how each kind is started and asked whether it lives."""
