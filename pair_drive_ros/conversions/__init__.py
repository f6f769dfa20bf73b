"""Pure functions between messages and the core's data model; one file a message family, no node."""
