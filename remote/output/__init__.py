"""What a run writes: stream, run directory, system metrics, Weights & Biases."""
