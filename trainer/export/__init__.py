"""What a finished model becomes elsewhere: GGUF, Ollama, a model card, a deployment folder."""
