"""``python -m app`` is the console script ``finestra``."""

from app.cli import main

main()
