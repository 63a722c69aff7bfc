"""Model `glm` for lorafw."""
