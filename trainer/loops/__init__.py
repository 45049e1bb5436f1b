"""The loop of each objective: what Finestra adds to the trainers of TRL and Transformers."""
