"""GRPO training: trainer, checkpoints, weight sync, several GPUs."""
