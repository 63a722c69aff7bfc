"""Model `llama` for lorafw."""
