"""The report of a release: one page for everybody, Markdown for a pull request, JSON for programs."""
