"""Chat templates: rendering in a sandbox, and which text the assistant says."""
