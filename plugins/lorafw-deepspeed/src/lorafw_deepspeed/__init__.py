"""Trainer `deepspeed`: DeepSpeed's ZeRO under lorafw's loop."""
