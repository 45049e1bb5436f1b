"""What is wrong or odd in a dataset: the check, duplicates, leaks, filters, kept reports."""
