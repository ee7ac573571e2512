"""What a migration has left behind, asked of the database itself: nothing here believes the text of a file.

`leftovers` finds what is half done, `advise` what an advisor would remark on new objects, `counts` what there is now,
`matrix` who may do what as the real roles, `replay` which statements of the running release no longer run.
"""
