"""`python -m penwright.compat.gpt_2_simple finetune|generate ...`"""

from penwright.compat.gpt_2_simple.command import cmd

if __name__ == "__main__":
    cmd()
