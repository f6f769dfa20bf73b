"""Imitation, GRPO and reward-model training; checkpoints."""
