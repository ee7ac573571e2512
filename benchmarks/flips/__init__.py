"""Flipping traffic under load: bluegreen and four other ways, on the same gateway, one after another."""
