"""PaIR-Drive: parallel imitation and reinforcement learning for end-to-end driving (arXiv 2603.13842)."""

__version__ = "0.1.0"
