"""Linear probes of representations: tasks, classifiers, choice and learning curves."""
