"""The reference cloud service: from prices to schedules, and from acknowledgements to what an operator sees.

The planning half, in the order in which a day passes through it:

- :mod:`allye_cloud.registry`: which devices there are, and what each can do.
- :mod:`allye_cloud.days`: what a local day is on UTC.
- :mod:`allye_cloud.prices`: half-hourly prices from a file.
- :mod:`allye_cloud.battery`: what a battery does when it follows a plan.
- :mod:`allye_cloud.planner`: the best plan for one battery and one day.
- :mod:`allye_cloud.yardsticks`: simpler plans to measure it against.
- :mod:`allye_cloud.fleet`: many plans on all cores.
- :mod:`allye_cloud.split`: a plan as pieces that fit into schedules.

The messaging half:

- :mod:`allye_cloud.planning`: the day's plans for the fleet, kept in :mod:`allye_cloud.books`.
- :mod:`allye_cloud.schedules`: plans as schedules, whose ids make publishing a day again harmless.
- :mod:`allye_cloud.service`: the loop between broker, session and store.
- :mod:`allye_cloud.store`: deliveries, answers and results in SQLite or PostgreSQL (:mod:`allye_cloud.database`,
  :mod:`allye_cloud.tables`).
- :mod:`allye_cloud.status`: what an operator looks at.
- :mod:`allye_cloud.config`, :mod:`allye_cloud.logs`, :mod:`allye_cloud.screens`, :mod:`allye_cloud.commands`: the command
  ``allye-cloud`` around them.
"""
