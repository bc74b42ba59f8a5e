"""``python -m gainbench``."""

from gainbench.cli import main

if __name__ == "__main__":
    main()
