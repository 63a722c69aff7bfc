"""Model `minimind` and exporter `minimind-pth` for lorafw."""
