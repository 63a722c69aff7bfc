"""What an adapter changes in a model: targets, trained parts, merged tensors."""
