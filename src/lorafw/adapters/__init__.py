"""The canonical adapter on disk."""
