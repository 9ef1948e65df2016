"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad input: the message names the thing, its value, the rule and the remedy, in one line.

    Commands print the message alone and exit with code 2; anything else raised is a bug and keeps its traceback.
    """
