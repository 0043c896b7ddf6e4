"""What a program moves is counted on programs whose traffic is known."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import pytest

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


# A TPU's compiler gathers a matrix beside two products: the exchange stands in four instructions and in a loop.
CHAIN = """HloModule chain

%begin (shard: bf16[2,4]) -> (bf16[2,4], bf16[16,4]) {
  %shard = bf16[2,4]{1,0} parameter(0)
  %gather = bf16[16,4]{1,0} all-gather(%shard), CHANNEL
  ROOT %begun = (bf16[2,4]{1,0}, bf16[16,4]{1,0}) custom-call(%gather), custom_call_target="AsyncCollectiveStart"
}

%go_on (shard.1: bf16[2,4], whole.1: bf16[16,4], x.1: f32[3,3]) -> (f32[3,3], bf16[2,4], bf16[16,4]) {
  %shard.1 = bf16[2,4]{1,0} parameter(0)
  %whole.1 = bf16[16,4]{1,0} parameter(1)
  %x.1 = f32[3,3]{1,0} parameter(2)
  %gather.1 = bf16[16,4]{1,0} all-gather(%shard.1), CHANNEL
  %square = f32[3,3]{1,0} dot(%x.1, %x.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %both = (f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) tuple(%square, %shard.1, %gather.1)
}

%end (shard.2: bf16[2,4], whole.2: bf16[16,4]) -> bf16[16,4] {
  %shard.2 = bf16[2,4]{1,0} parameter(0)
  %whole.2 = bf16[16,4]{1,0} parameter(1)
  %gather.2 = bf16[16,4]{1,0} all-gather(%shard.2), CHANNEL
  ROOT %ended = bf16[16,4]{1,0} custom-call(%gather.2), custom_call_target="AsyncCollectiveDone"
}

%body (p: (s32[], f32[3,3], bf16[2,4], bf16[16,4])) -> (s32[], f32[3,3], bf16[2,4], bf16[16,4]) {
  %p = (s32[], f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[3,3]{1,0} get-tuple-element(%p), index=1
  %s = bf16[2,4]{1,0} get-tuple-element(%p), index=2
  %w = bf16[16,4]{1,0} get-tuple-element(%p), index=3
  %two = s32[] constant(2)
  %next = s32[]{:S(6)} add(%i, %two)
  %step = (f32[3,3], bf16[2,4], bf16[16,4]) fusion(%s, %w, %x), SAME{{1}: (0, {}), {2}: (1, {})}, calls=%go_on
  %y = f32[3,3]{1,0} get-tuple-element(%step), index=0
  %s.1 = bf16[2,4]{1,0} get-tuple-element(%step), index=1
  %w.1 = bf16[16,4]{1,0} get-tuple-element(%step), index=2
  ROOT %t = (s32[], f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) tuple(%next, %y, %s.1, %w.1)
}

%condition (p.1: (s32[], f32[3,3], bf16[2,4], bf16[16,4])) -> pred[] {
  %p.1 = (s32[], f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%p.1), index=0
  %n = s32[] constant(9)
  ROOT %less = pred[] compare(%i.1, %n), direction=LT
}

ENTRY %main (a: f32[3,3], b: bf16[2,4]) -> bf16[16,4] {
  %a = f32[3,3]{1,0} parameter(0)
  %b = bf16[2,4]{1,0} parameter(1)
  %one = s32[] constant(1)
  %start = (bf16[2,4]{1,0}, bf16[16,4]{1,0}) fusion(%b), SAME{{0}: (0, {})}, calls=%begin
  %s.2 = bf16[2,4]{1,0} get-tuple-element(%start), index=0
  %w.2 = bf16[16,4]{1,0} get-tuple-element(%start), index=1
  %before = (s32[], f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) tuple(%one, %a, %s.2, %w.2)
  %loop = (s32[], f32[3,3]{1,0}, bf16[2,4]{1,0}, bf16[16,4]{1,0}) while(%before), condition=%condition, body=%body
  %s.3 = bf16[2,4]{1,0} get-tuple-element(%loop), index=2
  %w.3 = bf16[16,4]{1,0} get-tuple-element(%loop), index=3
  ROOT %out = bf16[16,4]{1,0} fusion(%s.3, %w.3), SAME{{}: (1, {})}, calls=%end
}
""".replace("CHANNEL", 'channel_id=7, replica_groups=[2,8]<=[16], frontend_attributes={chain_id="0"}')
CHAIN = CHAIN.replace("SAME", "kind=kCustom, output_to_operand_aliasing=")


def test_an_exchange_beside_products_counts_once_where_it_starts():
  """From 1 by 2 to 9 the loop runs four times; the exchange is of the 8 of a group, not of all 16."""
  found = hlo.traffic(CHAIN, 16)
  assert found.count == {"all-gather": 1} and found.received == {"all-gather": 128 * 7 / 8}
  gathered, looped, ended = 16 + 128, 4 * ((4 + 4) + (36 + 36)), 16
  assert found.memory == gathered + looped + ended


FUSED = """HloModule fused

%all-reduce-scatter (whole: f32[8,4]) -> f32[2,4] {
  %whole = f32[8,4]{1,0} parameter(0)
  %sum = f32[8,4]{1,0} all-reduce(%whole), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
  %own = u32[] partition-id()
  ROOT %part = f32[2,4]{1,0} dynamic-slice(%sum, %own, %own), dynamic_slice_sizes={2,4}
}

%inner (stack.1: f32[100,8,4]) -> f32[8,4] {
  %stack.1 = f32[100,8,4]{2,1,0} parameter(0)
  %zero = s32[] constant(0)
  ROOT %layer = f32[1,8,4]{2,1,0} dynamic-slice(%stack.1, %zero, %zero, %zero), dynamic_slice_sizes={1,8,4}
}

%outer (stack.2: f32[100,8,4]) -> f32[8,4] {
  %stack.2 = f32[100,8,4]{2,1,0} parameter(0)
  %read = f32[8,4]{1,0} fusion(%stack.2), kind=kLoop, calls=%inner
  ROOT %negated = f32[8,4]{1,0} negate(%read)
}

ENTRY %main (stack: f32[100,8,4]) -> f32[2,4] {
  %stack = f32[100,8,4]{2,1,0} parameter(0)
  %taken = f32[8,4]{1,0} fusion(%stack), kind=kOutput, calls=%outer
  %buffer = f32[64,64]{1,0} custom-call(), custom_call_target="AllocateBuffer"
  ROOT %scattered = f32[2,4]{1,0} fusion(%taken), kind=kCustom, calls=%all-reduce-scatter
}
"""


def test_a_sum_of_which_each_keeps_a_part_is_a_reduce_scatter():
  """And a cut two fusions deep is not the whole, nor a buffer that is only made room for."""
  found = hlo.traffic(FUSED, 8)
  assert found.received == {"reduce-scatter": 3 * 32}
  assert found.memory == 128 + 128 + 128 + 32


@pytest.mark.parametrize(
  "groups", ["{{0,1,2,3},{4,5,6,7}}", "[2,4]<=[8]", "mesh['a'=2,'b'=4] {'b'}", "mesh['a'=8] {'a':(2)4}"]
)
def test_a_group_is_smaller_than_all_devices(groups):
  text = f"""HloModule group

ENTRY %main (a: f32[8]) -> f32[8] {{
  %a = f32[8]{{0}} parameter(0)
  ROOT %sum = f32[8]{{0}} all-reduce(%a), channel_id=1, replica_groups={groups}, to_apply=%add
}}
"""
  assert hlo.traffic(text, 8).received == {"all-reduce": 2 * 0.75 * 32}


def test_a_loop_whose_end_is_data_runs_as_often_as_is_said():
  """One that may end before a number does not."""

  def power(x, count):
    return jax.lax.fori_loop(0, count, lambda _, y: y @ x, x)

  arguments = jnp.zeros((16, 16)), jnp.int32(3)
  assert hlo.products(jax.make_jaxpr(power)(*arguments).jaxpr, turns=5.0) == 5 * 2 * 16**3
  text = jax.jit(power).lower(*arguments).compile().as_text()
  ended = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda y: y[0, 0] < 7, lambda y: y @ y, x))(arguments[0])
  assert hlo.products(ended.jaxpr, turns=5.0) == 7 * 2 * 16**3
  once, often = (hlo.traffic(text, 1, turns).memory for turns in (1.0, 5.0))
  assert often > once + 4 * 3 * 16 * 16 * 4 - 1


ENDS_EARLY = """HloModule ends

%before (i.1: s32[]) -> pred[] {
  %i.1 = s32[] parameter(0)
  %n = s32[] constant(500)
  ROOT %less = pred[] compare(%i.1, %n), direction=LT
}

%condition (p.1: (s32[], f32[8])) -> pred[] {
  %p.1 = (s32[], f32[8]{0}) parameter(0)
  %no = pred[] constant(false)
  %i = s32[] get-tuple-element(%p.1), index=0
  ROOT %more = pred[] fusion(%i), kind=kLoop, calls=%before
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[], f32[8]{0}) parameter(0)
  %j = s32[] get-tuple-element(%p), index=0
  %x = f32[8]{0} get-tuple-element(%p), index=1
  %y = f32[8]{0} negate(%x)
  ROOT %t = (s32[], f32[8]{0}) tuple(%j, %y)
}

ENTRY %main (a: (s32[], f32[8])) -> (s32[], f32[8]) {
  %a = (s32[], f32[8]{0}) parameter(0)
  ROOT %loop = (s32[], f32[8]{0}) while(%a), condition=%condition, body=%body
}
"""


def test_a_loop_that_may_end_early_counts_to_the_number_it_ends_at():
  assert hlo.traffic(ENDS_EARLY, 1, turns=2.5).memory == 500 * 2 * 32


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
