"""What a run will take before it runs: memory, steps and time, and what could be chosen better."""
