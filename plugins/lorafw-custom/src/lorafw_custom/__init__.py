"""lorafw-custom."""
