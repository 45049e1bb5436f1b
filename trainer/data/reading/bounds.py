"""How much of a dataset's file is held or trusted at a time; tests make these small."""

MAX_ROW_BYTES = 64 * 1024 * 1024
"""A row that is longer is a RowProblem ``row_too_long``."""

BLOCK_BYTES = 256 * 1024
"""So much is read at once; also about the distance between two places of a RowIndex."""

SAMPLE_BYTES = 256 * 1024
"""So much of a file is looked at to tell its encoding."""

BOMB_BYTES = 512 * 1024 * 1024
BOMB_RATIO = 250
"""More than BOMB_BYTES that are also BOMB_RATIO times what was compressed are a zip bomb."""

MAX_SHEET_BYTES = 4 * 1024 * 1024 * 1024
MAX_SHEET_TEXTS_BYTES = 512 * 1024 * 1024
"""An Excel file may hold so much when unpacked, and so much text, which has to be in memory."""

TABLE_ROWS = 500
"""So many rows of a table are handed on at once."""
