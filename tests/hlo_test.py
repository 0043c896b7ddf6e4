"""What a program moves is counted on programs whose traffic is known."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from experiments.benchmarks import hlo
from g_pt import sharding
from g_pt.sharding import MeshConfig

TEXT = """HloModule toy

%body (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %p = (s32[], f32[8,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[8,4]{1,0} get-tuple-element(%p), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %moved = f32[8,4]{1,0} collective-permute(%x), channel_id=1
  ROOT %t = (s32[], f32[8,4]{1,0}) tuple(%next, %moved)
}

%condition (p.1: (s32[], f32[8,4])) -> pred[] {
  %p.1 = (s32[], f32[8,4]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%p.1), index=0
  %n = s32[] constant(12)
  ROOT %less = pred[] compare(%i.1, %n), direction=LT
}

ENTRY %main (a: f32[8,4], big: bf16[100,8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %big = bf16[100,8,4]{2,1,0} parameter(1)
  %zero = s32[] constant(0)
  %cut = bf16[1,8,4]{2,1,0} dynamic-slice(%big, %zero, %zero, %zero), dynamic_slice_sizes={1,8,4}
  %on_chip = f32[8,4]{1,0:T(8,128)S(1)} negate(%a)
  %start = (s32[], f32[8,4]{1,0}) tuple(%zero, %a)
  %loop = (s32[], f32[8,4]{1,0}) while(%start), condition=%condition, body=%body
  %pair = (f32[8,4]{1,0}, f32[2]{0}) all-reduce(%a, %zero), to_apply=%condition
  ROOT %out = f32[8,4]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_a_loop_counts_as_often_as_it_runs_and_a_cut_is_not_the_whole():
  found = hlo.traffic(TEXT, 4)
  assert found.count == {"collective-permute": 12, "all-reduce": 1}
  assert found.received == {"collective-permute": 12 * 128, "all-reduce": 2 * 0.75 * (128 + 8)}
  cut, negated, exchanged = 2 * 64, 128, 128 + 4 + 136
  assert found.memory == cut + negated + 12 * (3 * 4 + 2 * 128) + exchanged


def test_products_are_counted_through_scans_and_gradients():
  weights, x = jnp.zeros((5, 7, 7)), jnp.zeros((3, 7))

  def loss(weights, x):
    return jax.lax.scan(lambda x, w: (x @ w, None), x, weights)[0].sum()

  forward = 5 * 2 * 3 * 7 * 7
  assert hlo.products(jax.make_jaxpr(loss)(weights, x).jaxpr) == forward
  assert hlo.products(jax.make_jaxpr(jax.grad(loss, argnums=(0, 1)))(weights, x).jaxpr) == 3 * forward


def test_what_a_compiled_program_gathers_is_counted():
  """Rows of a matrix on eight devices, all of which one product needs."""
  mesh = sharding.make_mesh(MeshConfig(data=1, fsdp=8))
  cut, whole = NamedSharding(mesh, PartitionSpec("fsdp")), sharding.replicated(mesh)
  program = jax.jit(lambda x: x * 2.0, out_shardings=whole)
  text = program.lower(jax.ShapeDtypeStruct((64, 16), jnp.float32, sharding=cut)).compile().as_text()
  found = hlo.traffic(text, 8)
  assert found.count == {"all-gather": 1} and found.received["all-gather"] == 64 * 16 * 4 * 7 / 8
