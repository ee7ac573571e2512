"""A release in phases: what each is called, what it leaves behind, and the branch that all of them follow.

The phases themselves are compositions of verbs (`bluegreen.cli.phase`). What lies here knows git and text, no gateway,
no database and no engine.
"""
