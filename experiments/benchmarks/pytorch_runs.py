"""The recipes of `corpus` as tight PyTorch loops on one thread: started by it, one process a core.

Reads one JSON argument, does one stretch to warm up, says so, waits for a line
on its input and then prints the median seconds of a stretch.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
from torch import nn
import torch.nn.functional as F


class CNN(nn.Module):
  """The paper's network for CIFAR-10."""

  def __init__(self):
    super().__init__()
    self.conv1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
    self.conv2 = nn.Conv2d(16, 32, 3, 1, 1, bias=False)
    self.fc = nn.Linear(32, 10)

  def forward(self, x):
    return self.fc(F.relu(self.conv2(F.relu(self.conv1(x)))).mean((2, 3)))


def crop_and_flip(images, size: int = 32, padding: int = 4):
  """Random crops of the padded images, half of them mirrored: one gather."""
  count = len(images)
  padded = F.pad(images, (padding,) * 4)
  row = torch.randint(0, 2 * padding + 1, (count, 1)) + torch.arange(size)
  column = torch.arange(size).expand(count, size)
  column = torch.where(torch.rand(count, 1) < 0.5, size - 1 - column, column)
  column = column + torch.randint(0, 2 * padding + 1, (count, 1))
  return padded[torch.arange(count)[:, None, None], :, row[:, :, None], column[:, None]].permute(0, 3, 1, 2)


def classifier(name: str, steps: int, recipe: dict):
  """A stretch of minibatches on noise in the shape of the images."""
  batch, mnist = recipe["batch_size"], name == "mnist"
  images = torch.randint(0, 256, (steps * batch, 784) if mnist else (steps * batch, 3, 32, 32), dtype=torch.uint8)
  labels = torch.randint(0, 10, (steps * batch,))
  network = nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10)) if mnist else CNN()
  rate, momentum, decay = (recipe[field] for field in ("learning_rate", "momentum", "weight_decay"))
  optimizer = torch.optim.SGD(network.parameters(), rate, momentum, weight_decay=decay, nesterov=True)

  def stretch():
    for index in torch.randperm(len(labels)).split(batch):
      x = images[index]
      x = (x if mnist else crop_and_flip(x)).float().sub_(33.3).mul_(1 / 78.6)
      optimizer.zero_grad()
      F.cross_entropy(network(x), labels[index]).backward()
      optimizer.step()

  return stretch


class CartPole:
  """The physics of CartPole-v1 for many carts at once; an episode that is over begins anew."""

  def __init__(self, count: int):
    self.state, self.time = torch.rand(count, 4) * 0.1 - 0.05, torch.zeros(count)

  def step(self, action):
    """Actions -> (next observation, before a new start), (terminated), (done)."""
    x, speed, angle, turning = self.state.unbind(1)
    cosine, sine = angle.cos(), angle.sin()
    push = (20.0 * action - 10.0 + 0.05 * turning**2 * sine) / 1.1
    turn = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    drive = push - 0.05 * turn * cosine / 1.1
    state = torch.stack([x + 0.02 * speed, speed + 0.02 * drive, angle + 0.02 * turning, turning + 0.02 * turn], 1)
    self.time += 1
    terminated = (state[:, 0].abs() > 2.4) | (state[:, 2].abs() > 0.2094)
    done = terminated | (self.time >= 500)
    self.state = torch.where(done[:, None], torch.rand_like(state) * 0.1 - 0.05, state)
    self.time = torch.where(done, 0.0, self.time)
    return state, terminated, done


def cartpole(steps: int, recipe: dict):
  """A stretch of PPO's iterations."""

  def mlp(outputs: int):
    return nn.Sequential(nn.Linear(4, 32), nn.SELU(), nn.Linear(32, 32), nn.SELU(), nn.Linear(32, outputs))

  actor, critic = mlp(2), mlp(1)
  count, horizon, discount = recipe["environments"], recipe["horizon"], recipe["discount"]
  environment = CartPole(count)
  rate = recipe["learning_rate"]
  optimizers = [torch.optim.Adam(network.parameters(), rate, eps=1e-5) for network in (actor, critic)]

  @torch.no_grad()
  def act():
    seen = []
    for _ in range(horizon):
      observation = environment.state
      log_probabilities = F.log_softmax(actor(observation), 1)
      action = torch.multinomial(log_probabilities.exp(), 1)
      following, terminated, done = environment.step(action[:, 0])
      seen.append((observation, action, log_probabilities.gather(1, action)[:, 0], following, terminated, done))
    observation, action, old, following, terminated, done = map(torch.stack, zip(*seen))
    value, next_value = critic(observation)[..., 0], critic(following)[..., 0]
    surprise = recipe["reward_scale"] + discount * next_value * ~terminated - value
    advantage, last = torch.empty_like(value), torch.zeros(count)
    for t in reversed(range(horizon)):
      last = surprise[t] + discount * recipe["trace"] * last * ~done[t]
      advantage[t] = last
    target = advantage + value
    return [x.reshape(horizon * count, *x.shape[2:]) for x in (observation, action, old, advantage, target)]

  def learn(observation, action, old, advantage, target):
    log_probabilities = F.log_softmax(actor(observation), 1)
    ratio = (log_probabilities.gather(1, action)[:, 0] - old).exp()
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = ratio.clamp(1 - recipe["clip"], 1 + recipe["clip"])
    entropy = -(log_probabilities.exp() * log_probabilities).sum(1).mean()
    loss = -torch.minimum(ratio * advantage, clipped * advantage).mean() - recipe["entropy_weight"] * entropy
    loss = loss + 0.5 * F.mse_loss(critic(observation)[:, 0], target)
    for optimizer in optimizers:
      optimizer.zero_grad()
    loss.backward()
    for network, optimizer in zip((actor, critic), optimizers):
      nn.utils.clip_grad_norm_(network.parameters(), recipe["gradient_norm"])
      optimizer.step()

  def stretch():
    for _ in range(steps):
      seen = act()
      for _ in range(recipe["epochs"]):
        for index in torch.randperm(count * horizon).chunk(recipe["minibatches"]):
          learn(*(x[index] for x in seen))

  return stretch


def main() -> None:
  torch.set_num_threads(1)
  torch.manual_seed(0)
  arguments = json.loads(sys.argv[1])
  name, steps, recipe = arguments["task"], arguments["steps"], arguments["recipe"]
  stretch = cartpole(steps, recipe) if name == "cartpole" else classifier(name, steps, recipe)
  stretch()
  print("warm", flush=True)
  sys.stdin.readline()
  times = []
  for _ in range(arguments["repeats"]):
    began = time.perf_counter()
    stretch()
    times.append(time.perf_counter() - began)
  print(statistics.median(times))


if __name__ == "__main__":
  main()
