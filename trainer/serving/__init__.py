"""The Transformers engine: a model behind an OpenAI-compatible server on this machine."""
