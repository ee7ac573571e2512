"""What changed between two snapshots of a schema, object by object."""

from bluegreen.postgres.catalog.spec import Difference, Snapshot


def compare(before: Snapshot, after: Snapshot) -> Difference:
    """What `after` has that `before` had not, what is not what it was, and what is gone."""
    was, now = before.objects, after.objects
    changed = tuple(sorted(name for name in was.keys() & now.keys() if was[name] != now[name]))
    return Difference(
        added=tuple(sorted(now.keys() - was.keys())),
        changed=changed,
        gone=tuple(sorted(was.keys() - now.keys())),
        attributes={name: attributes(before, after, name) for name in changed},
    )


def attributes(before: Snapshot, after: Snapshot, name: str) -> tuple[str, ...]:
    """In what an object that is in both differs."""
    was, now = before.like(name), after.like(name)
    return tuple(sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key)))


def kind_of(name: str) -> str:
    """`materialized view` of `materialized view public.totals`."""
    from bluegreen.postgres.catalog.kinds import KINDS

    return max((kind for kind in KINDS if name.startswith(f"{kind} ")), key=len)


def called(name: str) -> str:
    """`public.totals` of `materialized view public.totals`."""
    return name[len(kind_of(name)) + 1 :]
