"""Dangerous statements and harmless ones: what our lint refuses, and what squawk says of them by itself."""
