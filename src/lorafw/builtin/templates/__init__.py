"""Templates by name: how examples are written for the models that expect them so."""
