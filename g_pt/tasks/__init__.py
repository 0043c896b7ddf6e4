"""The table of tasks: the one place to register."""

from g_pt.tasks import digits
from g_pt.tasks.base import Metric, RunGroup, Task

TASKS: dict[str, Task] = {task.name: task for task in (digits.TASK,)}


def get(name: str) -> Task:
  """The task of that name; ValueError, naming those there are, if there is none."""
  if name not in TASKS:
    raise ValueError(f"unknown task {name!r}; there is: {', '.join(TASKS)}")
  return TASKS[name]


__all__ = ["Metric", "RunGroup", "TASKS", "Task", "get"]
