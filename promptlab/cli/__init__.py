"""The command line: one file a command group."""


def main() -> None:
    """Entry point of ``promptlab``."""
