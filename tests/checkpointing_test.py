"""A checkpoint comes back exact, in parts, and placed where it is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import sharding
from g_pt.checkpointing import Checkpoints, History
from g_pt.errors import UserError
from g_pt.train.step import TrainState


def state_of(step):
  """A training state whose every number tells its step; a NaN must survive too."""
  weights = {"kernel": jnp.full((4, 3), 0.1 * step), "bias": jnp.array([step, jnp.nan, -0.0])}
  return TrainState(jnp.int32(step), weights, jax.tree.map(lambda x: x / 3, weights), (weights, jnp.int32(7), ()))


def save(directory, *steps):
  with Checkpoints(directory) as checkpoints:
    for step in steps:
      state = state_of(step)
      checkpoints.save(step, state, state.average, {"seconds": float(step)})


def assert_same(found, wanted):
  assert jax.tree.structure(found) == jax.tree.structure(wanted)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.asarray(a).view(np.int32), np.asarray(b).view(np.int32))


def test_state_average_and_progress_come_back_exact(tmp_path):
  save(tmp_path, 5, 9)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.latest == 9
    state, progress = checkpoints.restore(state_of(0))
    assert_same(state, state_of(9))
    assert progress == {"seconds": 9.0} == checkpoints.progress()
    assert_same(checkpoints.restore_average(state_of(0).average), state_of(9).average)


def test_the_last_two_are_kept(tmp_path):
  save(tmp_path, 1, 2, 3, 4)
  assert sorted(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()) == [3, 4]


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path):
  save(tmp_path, 3)
  # What Orbax leaves behind when it is killed: a folder that was not renamed yet.
  (tmp_path / "6.orbax-checkpoint-tmp-1" / "state").mkdir(parents=True)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.latest == 3
    assert_same(checkpoints.restore(state_of(0))[0], state_of(3))


def test_weights_are_placed_like_those_given(tmp_path):
  save(tmp_path, 2)
  mesh = sharding.make_mesh(sharding.MeshConfig(data=2))
  place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state_of(0).average)
  like["kernel"] = jax.ShapeDtypeStruct((4, 3), jnp.float32, sharding=place)
  like["bias"] = jax.ShapeDtypeStruct((3,), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[3]))
  with Checkpoints(tmp_path, read_only=True) as checkpoints:
    found = checkpoints.restore_average(like)
  assert found["kernel"].sharding.is_equivalent_to(place, 2)
  assert found["bias"].devices() == {jax.devices()[3]}
  assert_same(found, state_of(2).average)


def test_no_checkpoint_is_an_error_that_names_the_place(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.latest is None
    with pytest.raises(UserError, match=f"{tmp_path}: no checkpoint here"):
      checkpoints.restore(state_of(0))


def test_a_history_keeps_every_step_and_what_was_there_before(tmp_path):
  with History(tmp_path) as history:
    for step in (2, 3, 5, 9):
      history.save(step, state_of(step).average)
  with History(tmp_path) as history:
    # A training that was killed after step 9 comes to step 5 again.
    history.save(5, state_of(7).average)
    history.save(11, state_of(11).average)
  with History(tmp_path, read_only=True) as history:
    assert history.steps == [2, 3, 5, 9, 11]
    for step in history.steps:
      assert_same(history.restore(step, state_of(0).average), state_of(step).average)


def test_weights_of_a_history_that_are_damaged_are_told_of_with_their_folder(tmp_path):
  with History(tmp_path) as history:
    history.save(2, state_of(2).average)
  for file in tmp_path.glob("2/default/*"):
    if file.is_file():
      file.write_bytes(b"")
  with History(tmp_path, read_only=True) as history:
    with pytest.raises(UserError, match=f"{tmp_path / '2'}: weights not readable"):
      history.restore(2, state_of(0).average)
