"""An adapter's folder in the layout of PEFT."""
