"""What stops a run, or tells the user, before a fault has cost a day."""
