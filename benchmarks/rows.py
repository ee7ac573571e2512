"""Every row of the benchmark. A new one is a function beside its kin, an entry here and an entry in docs/benchmarks.md.

A name is what `results.json` knows a row by: chosen once.
"""

from benchmarks.drill.rows import drill
from benchmarks.engine.rows import noop_up, rollback
from benchmarks.flips.rows import flips, flips_on_two_nodes, shifts_in_steps
from benchmarks.judge.rows import judge
from benchmarks.row import Row

ROWS: tuple[Row, ...] = (
    Row("flips", "No request fails while traffic flips from one colour to the other.", flips),
    Row("flips-nodes", "Nor where a second node hears of a change up to 5 s later.", flips_on_two_nodes),
    Row("flips-steps", "Nor while it shifts in steps of 5, 25, 50 and 100 %.", shifts_in_steps),
    Row("drill", "Nor where an update and a rollback by hand write at the same moment.", drill),
    Row("rollback", "A reverted line is traffic moved and proved, Railway and Postgres down.", rollback),
    Row("noop-up", "An update with nothing to do costs little more than an empty program.", noop_up),
    Row("judge", "A bad release is caught in seconds, a healthy one is not failed by luck.", judge),
)
