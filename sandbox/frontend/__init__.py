"""The demo frontend: one page, and a script and a stylesheet whose names say what is in them.

`pages` answers, `assets` makes the files of a release from app.js, teams.js, style.css and page.html beside it.
"""
