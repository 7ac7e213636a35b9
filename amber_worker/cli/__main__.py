"""`python -m amber_worker.cli`: the same as `amber`."""

from amber_worker.cli import main

if __name__ == "__main__":
    main()
