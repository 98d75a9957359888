"""Where options come from, and which of them wins.

**For the app**: the environment (`PYNENC__MAX_CONCURRENCY=8`), then the file (`max_concurrency = 8`), then
`Pynenc(max_concurrency=8)`, then the default. Who operates a service can change what its code says.

**For a task**, from the strongest to the weakest:

1. `task.with_options(...)`, for one use;
2. the environment, for this task: `PYNENC__TASK__SHOP_SEND__MAX_RETRIES=3` for the task `shop.send`;
3. the file, for this task: `[tasks."shop.send"]`;
4. the decorator, `@app.task(max_retries=3)`;
5. the environment, for all tasks: `PYNENC__TASK__MAX_RETRIES=3`;
6. the file, for all tasks: `[task]`;
7. the app, for all its tasks: `Pynenc(task_defaults={"max_retries": 3})`;
8. the default.

In short: what names the task beats what is said for all tasks; among equals, the environment beats the file, and the file
the code.

**An option that can have no effect** beside the others is refused where it names the task or the app, with what it needs:
`@app.task(retry_delay=5)` without `max_retries`. What is said for all tasks is a default for those that can use it; and what
a stronger source switches off (`PYNENC__TASK__SHOP_SEND__MAX_RETRIES=0`), or the same one, takes its companions with it. The
table is `pynenc_async.option_needs`. `running_limit` alone is a limit of the task.

**The file** is what `Pynenc(config=...)` or else `PYNENC__CONFIG` names: TOML, or YAML (extra `yaml`). Without either it is
the table `[tool.pynenc_async]` of the `pyproject.toml` in the current directory, if there is one.

**In a variable's name** a task id is written in upper case, with `_` for all that is neither letter nor digit. Its text is
read as the type of the option asks: `3`, `0.5`, `true`, `none`, `a,b` for names, `ValueError,shop.errors:OutOfStock` for
exceptions (builtins, and classes of modules that are imported already), `10/60` for a rate of ten in sixty seconds.
"""
