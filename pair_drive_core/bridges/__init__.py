"""Interfaces to other stacks."""
