"""Every row of the benchmark. A new one is a function beside its kin, an entry here and an entry in docs/benchmarks.md.

A name is what `results.json` knows a row by: chosen once.
"""

from benchmarks.catalog.rows import catalog
from benchmarks.drill.rows import drill
from benchmarks.engine.rows import noop_up, rollback
from benchmarks.flips.rows import flips, flips_on_two_nodes, shifts_in_steps
from benchmarks.judge.rows import judge
from benchmarks.lint.rows import lint
from benchmarks.migrations.backfill import backfill
from benchmarks.migrations.lock_queue import lock_queue
from benchmarks.migrations.migration_011 import migration_011
from benchmarks.migrations.peers import told
from benchmarks.migrations.two_runners import two_runners
from benchmarks.row import Row

ROWS: tuple[Row, ...] = (
    Row("flips", "No request fails while traffic flips from one colour to the other.", flips),
    Row("flips-nodes", "Nor where a second node hears of a change up to 5 s later.", flips_on_two_nodes),
    Row("flips-steps", "Nor while it shifts in steps of 5, 25, 50 and 100 %.", shifts_in_steps),
    Row("drill", "Nor where an update and a rollback by hand write at the same moment.", drill),
    Row("rollback", "A reverted line is traffic moved and proved, Railway and Postgres down.", rollback),
    Row("noop-up", "An update with nothing to do costs little more than an empty program.", noop_up),
    Row("judge", "A bad release is caught in seconds, a healthy one is not failed by luck.", judge),
    Row("lock-queue", "A migration that has to wait makes nobody else wait.", lock_queue, told),
    Row("migration-011", "011 is applied in a blink, and stops writes for less, near or far.", migration_011, told),
    Row(
        "catalog",
        "A schema is told from another in a moment, whatever changed, and every way back is proven.",
        catalog,
        told,
    ),
    Row("lint", "Every dangerous statement of the list is refused, and nothing is said of harmless ones.", lint),
    Row("backfill", "A table of 400,000 rows is filled beside the app's own traffic.", backfill, told),
    Row("two-runners", "Two deployments at once apply a file once, and both end well.", two_runners, told),
)
