"""The contract kit: promises every part must keep, and toys to try them on."""
