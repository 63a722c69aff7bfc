"""lorafw-peft."""
