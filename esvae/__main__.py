"""``python -m esvae``: the command line."""

from esvae.program import run_program

if __name__ == "__main__":
    run_program()
