"""The worker's phases: training, evaluation, one rank of several."""
