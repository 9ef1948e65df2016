"""The command line: options, help, completion, refusals and the folders of runs."""
