"""Benchmarks of the durable runtime, against plain `sqlite3` and against other durable runtimes on SQLite."""
