"""Makes the starter model and the sample datasets: ``python -m assets.make --help``."""
