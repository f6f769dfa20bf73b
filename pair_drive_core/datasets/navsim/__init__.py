"""NAVSIM: logs, sensor files, scenes and filters, read and written; the only place that opens pickles."""
