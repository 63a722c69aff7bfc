"""What trained models are worth: their figures on rows, against the base's, with intervals."""
