"""Speed and memory of a stage, measured beside a named peer."""
