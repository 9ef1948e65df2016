"""The work of the commands that take recordings or codes, once their options are checked."""
