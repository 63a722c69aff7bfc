"""Figures that say how good a model is, from counts that add up over batches and ranks."""
