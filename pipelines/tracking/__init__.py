"""Trackers of runs: TensorBoard, MLflow and Weights & Biases."""
