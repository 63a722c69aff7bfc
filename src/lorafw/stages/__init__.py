"""What a scenario asks of a session, beyond training: remembered, measured, looked at."""
