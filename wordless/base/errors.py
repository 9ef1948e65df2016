"""The exception for errors that a user can correct."""


class InputError(ValueError):
    """Bad input: the message names the argument, its value, the rule and the remedy, in one line.

    Commands print only the message and exit with code 2. Every other exception is a bug and keeps its traceback.
    """
