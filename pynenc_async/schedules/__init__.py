"""Schedules: a task runs at the moments of a cron expression, or at equal intervals.

`@app.cron("*/5 * * * *", tz="Europe/Berlin")` and `@app.every(30)` decorate a function, which they make a task, or a task;
`ScheduleOptions` has their options. They fire while the app runs: from `async with app`, `app.run` or `app.start()` on until
it drains. A call alone, which starts an app in memory, starts no schedule; with `sync://` none ever fires, but the
decorators work, so that a module with schedules can be tested there. `app.schedules` has the handles, `current_fire()` tells
a body for which moment it runs.

**Cron** is minute, hour, day of month, month, day of week, in a time zone (UTC unless given), as Debian's cron reads it: if
neither day begins with `*`, either may match. Where clocks change, too:

* If minute or hour begins with `*`, moments follow the clock on the wall: an hour that is skipped has none, and one that
  comes twice has them twice.
* Else each local time means one moment: one that is skipped fires at the end of the gap, once with all that fires there,
  and of one that comes twice, the first counts.

cronsim reads the expressions: `pip install 'pynenc-async[cron]'`. It is small, typed, and keeps to that one rule; croniter is
the better known, but its answers near such a change have depended on where a search began.

**Intervals** count from `start`, or from 1970-01-01 00:00 UTC, not from the start of the process: `every(300)` fires at five
past. So all processes, and every restart, know the same moments.

**Missed** is what is decided later than its moment (and the grace): the loop was blocked, the app did not run, the machine
was asleep, the clock was set forward. `Misfire` says what becomes of it. What passes before the first start is not missed,
except by a schedule that has fired before, on a store.
Nothing is ever run twice for a moment: a clock that was set back, by up to three hours, is waited for; one that was set back
further was wrong before, and is followed.

**Overlap**: a schedule does not fire while its previous run lives, unless `Overlap` says otherwise. Missed fires that are made
up for one by one follow each other, except with `Overlap.ALLOW`.

**Several processes** on one store decide for themselves (`planner.plan` is a pure function), and call the task for the same
`Fire` values: name and moment. The store takes the first registration, the others end as CANCELLED. It also knows the last
fire of each schedule, by its name, so what no process was there for is missed by the next one that starts, and it sees to it
that runs do not overlap, unless the task has a registration concurrency of its own. What waits in line waits in one process.
"""
