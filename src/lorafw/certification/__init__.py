"""Certificates: every export is opened again in its tool and compared with the trained model."""
