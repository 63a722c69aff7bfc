"""How parts are found, configured and fitted together; torch-free."""
