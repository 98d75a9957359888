"""Handles, groups, and how calls become invocations."""
