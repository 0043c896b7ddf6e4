"""The paper's model as a plain PyTorch module, timed: started by `model` in a process of its own."""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
from torch import nn
import torch.nn.functional as F


class Block(nn.Module):
  def __init__(self, width: int, heads: int):
    super().__init__()
    self.heads = heads
    self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
    self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
    self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

  def forward(self, x):
    y = self.attention_norm(x)
    split = lambda z: z.unflatten(2, (self.heads, -1)).transpose(1, 2)  # noqa: E731
    mixed = F.scaled_dot_product_attention(split(self.query(y)), split(self.key(y)), split(self.value(y)))
    x = x + self.out(mixed.transpose(1, 2).flatten(2))
    return x + self.mlp(self.mlp_norm(x))


class Model(nn.Module):
  """A linear encoder a token, blocks, a linear decoder a token of the output."""

  def __init__(self, sizes, width: int, depth: int, heads: int):
    super().__init__()
    self.sizes, self.outputs = sizes
    self.encoders = nn.ModuleList(nn.Linear(size, width, bias=False) for size in self.sizes)
    self.decoders = nn.ModuleList(nn.Linear(width, size, bias=False) for size in self.outputs)
    self.positions = nn.Parameter(torch.zeros(len(self.sizes), width))
    self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
    self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
    self.register_buffer("frequencies", 2.0 ** torch.linspace(0, 14, 128))

  def features(self, value):
    angle = value[:, None] * self.frequencies
    return torch.cat([angle.sin(), angle.cos(), value[:, None]], 1)

  def forward(self, noised, start, timestep, metric, prompt):
    scalars = [self.features(value) for value in (timestep, prompt - metric, prompt, metric)]
    inputs = torch.cat([noised, start, *scalars], 1).split(self.sizes, 1)
    x = torch.stack([encode(token) for encode, token in zip(self.encoders, inputs)], 1)
    x = self.norm_out(self.blocks(self.norm_in(x) + self.positions)[:, : len(self.outputs)])
    return start + torch.cat([decode(x[:, i]) for i, decode in enumerate(self.decoders)], 1)


def seconds(function, repeats: int) -> float:
  """Median of a call's wall time, after two that warm up."""
  times = []
  for _ in range(repeats + 2):
    began = time.perf_counter()
    function()
    times.append(time.perf_counter() - began)
  return statistics.median(times[2:])


def main() -> None:
  arguments = json.loads(sys.argv[1])
  batch, repeats = arguments.pop("batch"), arguments.pop("repeats")
  model = Model(**arguments)
  optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
  size = sum(model.outputs)
  noised, start, target = torch.randn(3, batch, size)
  scalars = torch.rand(3, batch)

  @torch.no_grad()
  def forward():
    model(noised, start, *scalars)

  def train():
    optimizer.zero_grad()
    F.mse_loss(model(noised, start, *scalars), target).backward()
    optimizer.step()

  weights = sum(p.numel() for p in model.parameters())
  print(json.dumps({"forward": seconds(forward, repeats), "train": seconds(train, repeats), "weights": weights}))


if __name__ == "__main__":
  main()
