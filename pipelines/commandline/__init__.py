"""The command line: options, help, refusals and the folders of runs."""
