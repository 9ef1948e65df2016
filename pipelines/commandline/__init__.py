"""What stands between a user's words and a command: options, help, refusals, progress."""
