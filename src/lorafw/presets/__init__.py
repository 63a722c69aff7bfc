"""Configs that come with lorafw, one YAML file each."""
