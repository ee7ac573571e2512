"""Side-by-side figures: what this project promises in numbers, measured beside its peers in the same run.

Each row is a function in `rows.py`. It deliberately tests nothing: a figure depends on the machine, a promise does not.
"""
