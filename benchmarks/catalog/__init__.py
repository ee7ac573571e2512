"""Schemas and their fingerprints: how fast one is taken, what it notices, and how fast a way back is proven."""
