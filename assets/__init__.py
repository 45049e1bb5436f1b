"""Assets that ship with the studio: the starter model and the code that makes it."""
