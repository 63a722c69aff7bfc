"""Exporters `gguf`, `gguf-lora` and `ollama` for lorafw."""
