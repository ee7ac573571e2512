"""A release as an edit of the stack's file: what is written, where it stands, who is asked first, how it is handed on.

Verbs (`bluegreen stage`, `promote`, `revert`) say what is wanted; everything here is about one text file, one registry
and one repository. It deliberately changes nothing that serves: only `pulumi up` does.
"""
