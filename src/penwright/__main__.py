"""`python -m penwright` is the command line."""

from penwright.cli import main

if __name__ == "__main__":
    main()
