"""The Planner protocol and the rule-based reference planners."""
