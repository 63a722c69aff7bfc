"""Side-by-side runs of lorafw against what a user would pick instead."""
