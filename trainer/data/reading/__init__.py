"""Files as rows: formats, encodings, compression, folders, an index to find rows again."""
