"""What is trained: PEFT's configs for every method, attaching, freezing, writing results."""
