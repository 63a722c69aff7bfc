"""Trainer `accelerate`: Hugging Face Accelerate under lorafw's loop."""
