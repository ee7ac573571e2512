"""What people and pipelines run: `bluegreen VERB`, one module per family of verbs."""
