"""How planning, the store, the scheduler and reports behave at a hundred thousand jobs and ten million rows."""
