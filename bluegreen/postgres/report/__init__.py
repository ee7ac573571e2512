"""What became of one migration, written down: for programs, for a pull request, and for whoever looks closely."""

from bluegreen.postgres.report.told import told
from bluegreen.postgres.report.way_back import reverse_script
from bluegreen.postgres.report.written import plan_in, read, write

__all__ = ["plan_in", "read", "reverse_script", "told", "write"]
