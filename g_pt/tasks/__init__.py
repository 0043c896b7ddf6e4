"""The table of tasks: the one place to register."""

from g_pt.errors import UserError
from g_pt.tasks import cartpole, cifar10, digits, family, mnist
from g_pt.tasks.base import Measurement, Metric, Network, Task, Training
from g_pt.tasks.population import RunGroup

TASKS: dict[str, Task] = {task.name: task for task in (digits.TASK, mnist.TASK, cifar10.TASK, cartpole.TASK)}


def get(name: str) -> Task:
  """The task of that name, which may also be that of a family, or of a TFDS image-classification set.

  Raises ValueError, naming the tasks there are, if it is neither.
  """
  if name in TASKS:
    return TASKS[name]
  if family.is_name(name):
    return family.task(name)
  try:
    return mnist.task(name)
  except UserError as error:
    there_is = f"there is: {', '.join(TASKS)}, and image sets of TFDS by their name"
    raise ValueError(f"unknown task {name!r}; {there_is} ({error})") from None


__all__ = ["Measurement", "Metric", "Network", "RunGroup", "TASKS", "Task", "Training", "get"]
