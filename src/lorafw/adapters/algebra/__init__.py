"""What is in an update, and new updates out of trained ones."""
