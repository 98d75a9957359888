"""Invocations that live in a store: submitted, claimed, watched, recovered."""
