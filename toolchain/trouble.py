"""What a user is told when something cannot be done: what is wrong, the state of the world, the next step."""


class Trouble(Exception):
    """An end that the user can do something about."""

    def __init__(self, what: str, *, world: str, next: str) -> None:
        super().__init__(f"{what} {world} {next}")
        self.what, self.world, self.next = what, world, next
