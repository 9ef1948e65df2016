"""Fine-tuning: a body that gives states over time, and a head that predicts labels from them."""
