"""A run as a Python script that trains the same thing with TRL alone."""

from app.script.build import Script, write_script

__all__ = ["Script", "write_script"]
