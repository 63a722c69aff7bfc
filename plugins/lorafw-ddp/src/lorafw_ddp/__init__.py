"""Trainer `ddp`: PyTorch's DistributedDataParallel under lorafw's loop."""
