"""What rows mean: recognising columns, and turning rows into conversations."""
