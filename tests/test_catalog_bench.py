"""The row about the catalog: that it measures what it says, on a small scale and without peers."""

from benchmarks.catalog.changes import CHANGES
from benchmarks.catalog.contenders import DUMP, MIGRA, OURS
from benchmarks.catalog.rows import Measured, answers, figures, sensitivity, speeds
from benchmarks.catalog.wide import wide
from benchmarks.migrations.place import place


def test_the_wide_schema_has_as_many_tables_as_wanted() -> None:
    made = list(wide(3))
    assert (len(made), [f"create table public.t{n} (" in text for n, text in enumerate(made)]) == (3, [True] * 3)


def test_without_peers_ours_and_pg_dump_are_measured() -> None:
    few = [change for change in CHANGES if change.name in ("policy gone", "role's settings", "index that is not valid")]
    with place(projects=1, generations=1) as here:
        url = here.database("postgres")
        assert {who: len(times) for who, times in speeds(here, url, None, 2).items()} == {OURS: 2, DUMP: 2}
        assert list(answers(here, url, None, 1)) == [OURS]
        noticed = sensitivity(here, None, few, print)
    assert {who: sorted(names) for who, names in noticed.items()} == {
        OURS: ["index that is not valid", "policy gone", "role's settings"],
        DUMP: ["policy gone"],
    }


def test_the_figures_are_medians_beside_their_peers_and_goals() -> None:
    took = {OURS: (100.0, 300.0, 200.0), MIGRA: (900.0, 1000.0, 1100.0)}
    noticed = {OURS: ["a", "b"], MIGRA: ["a"]}
    first, second, third, fourth = figures(500, Measured(took, took, 4.0, noticed), 2, 3)
    assert (first.ours, first.peers, first.met) == (200.0, {MIGRA: 1000.0}, True)
    assert (second.ratio, second.met, second.spread[OURS]) == (0.2, True, (100.0, 300.0))
    assert (third.ours, third.met) == (4.0, True)
    assert (fourth.ours, fourth.peers, fourth.met, fourth.ratio) == (2.0, {MIGRA: 1.0}, True, 2.0)
