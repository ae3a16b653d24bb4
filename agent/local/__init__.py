"""Metrics, page and API for people on the spot."""
