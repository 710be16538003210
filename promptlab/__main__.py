"""``python -m promptlab`` is the command ``promptlab``."""

from promptlab.cli import main

if __name__ == "__main__":
    main()
