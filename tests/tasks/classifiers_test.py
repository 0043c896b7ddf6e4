"""Many networks at once compute what each of them computes alone, however that is laid out."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.errors import ConfigError
from g_pt.tasks import networks, stacked, supervised
from g_pt.tasks.cifar10 import PADDING, augmented
from g_pt.tasks.datasets import Examples, Images

RUNS, EXAMPLES, CLASSES = 3, 12, 4
NETWORKS = {
  "mlp": (networks.MLP((6, CLASSES)), (5, 3)),
  "wide mlp": (networks.MLP((40, 33, CLASSES)), (7,)),
  "cnn": (networks.CNN((4, 6), CLASSES), (8, 8, 3)),
}


def random(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.fixture(params=NETWORKS, scope="module")
def case(request):
  """(network, stacked parameters, batch)."""
  network, shape = NETWORKS[request.param]
  images = random(0, EXAMPLES, *shape)
  init = jax.jit(jax.vmap(lambda key: network.init(key, images)["params"], out_axes=-1))
  labels = jnp.arange(EXAMPLES) % CLASSES
  return network, init(jax.random.split(jax.random.key(0), RUNS)), Examples(images, labels)


def one_by_one(network, batch):
  """Stacked parameters -> the loss of each run, by the network's plain forward pass."""

  def loss(parameters):
    logits = network.apply({"params": parameters}, batch.images)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[:, None], axis=1))

  return jax.vmap(loss, in_axes=-1)


def test_logits_of_a_group_are_those_of_each(case):
  network, parameters, batch = case
  alone = jax.vmap(lambda p: network.apply({"params": p}, batch.images), in_axes=-1, out_axes=-1)(parameters)
  group = jax.jit(network.logits)(parameters, batch.images)
  np.testing.assert_allclose(group, alone, rtol=1e-5, atol=1e-5)


def test_the_loss_of_a_group_and_its_gradient_are_those_of_each(case):
  network, parameters, batch = case
  weights = jnp.arange(1.0, RUNS + 1)  # a cotangent for each run
  values, gradients = [], []
  for loss in (lambda p: network.loss(p, batch), one_by_one(network, batch)):
    values.append(jax.jit(loss)(parameters))
    gradients.append(jax.jit(jax.grad(lambda p, loss=loss: jnp.sum(weights * loss(p))))(parameters))
  np.testing.assert_allclose(*values, rtol=1e-5)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *gradients)


def test_convolutions_by_products_are_those_of_each_and_so_are_their_gradients():
  """What a GPU computes, on the CPU."""
  network, batch = networks.CNN((4, 6), 3), Examples(random(0, 5, 8, 8, 3), jnp.arange(5) % 3)
  keys = jax.random.split(jax.random.key(1), RUNS)
  parameters = jax.vmap(lambda key: network.init(key, batch.images)["params"], out_axes=-1)(keys)
  weights = random(2, 5, 3, RUNS)
  values = []
  for logits in (network.logits_by_products, functools.partial(networks.Classifier.logits, network)):
    values.append(jax.value_and_grad(lambda p, f=logits: jnp.sum(weights * f(p, batch.images)))(parameters))
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), *values)


@pytest.mark.parametrize("channels", [(3, 5), (5, 3)])
def test_convolve_and_its_gradients_are_those_of_a_convolution(channels):
  x, kernel = random(0, 2, 6, 4, channels[0]), random(1, 3, 3, *channels)
  weight = random(2, 2, 6, 4, channels[1])

  def plain(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

  results = [
    jax.value_and_grad(lambda x, kernel, f=f: jnp.sum(f(x, kernel) * weight), (0, 1))(x, kernel)
    for f in (networks.convolve, plain)
  ]
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), *results)


def test_patches_times_a_kernel_are_a_strided_convolution():
  images, kernel = random(0, 2, 8, 6, 3), random(1, 3, 3, 3, 5)
  product = networks.patches_of(images, 2) @ kernel.reshape(27, 5)
  plain = lax.conv_general_dilated(images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))
  np.testing.assert_allclose(product, plain, rtol=1e-5, atol=1e-5)


def test_numbers_of_many_networks_are_those_of_each_by_its_definition(toy):
  """However many there are, a stack of one among them, and whatever the number of examples."""
  judged = toy.measurement.part(toy.load(None), toy.training.recipe, "recorded")
  each = [jax.jit(toy.network.init)(key) for key in jax.random.split(jax.random.key(3), 4)]
  evaluate = jax.jit(toy.measurement.evaluate)
  together = evaluate(jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-1), *each), judged)
  assert set(together) == {"test_loss", "test_error", "train_loss", "train_error"}
  module = networks.MLP((5, 3))
  for i, network in enumerate(each):
    alone = evaluate(jax.tree.map(lambda x: x[..., None], network), judged)
    for split, examples in judged.splits.items():
      logits = module.apply({"params": network}, jnp.asarray(examples.images))
      loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(examples.labels)), examples.labels])
      error = 100 * np.mean(np.argmax(logits, axis=1) != examples.labels)
      for name, wanted in {f"{split}_loss": loss, f"{split}_error": error}.items():
        np.testing.assert_allclose(together[name][i], wanted, rtol=1e-5)
        np.testing.assert_allclose(alone[name], [wanted], rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 5, 17, 50])
def test_totals_do_not_depend_on_the_parts(at_once):
  examples = Examples(random(0, 17, 3), jnp.arange(17))
  whole = {"sum": examples.images.sum(axis=0), "labels": examples.labels.sum()[None]}
  parts = stacked.totals_in_parts(
    lambda part: {"sum": part.images.sum(axis=0), "labels": part.labels.sum()[None]}, examples, at_once
  )
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), parts, whole)


def test_error_and_loss_are_those_of_the_definition():
  logits, labels = random(0, 50, 10), jnp.arange(50) % 10
  loss, wrong = stacked.loss_and_wrong(logits[:, :, None], labels)
  np.testing.assert_allclose(loss[:, 0], -jax.nn.log_softmax(logits)[jnp.arange(50), labels], rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(wrong[:, 0], jnp.argmax(logits, axis=1) != labels)


@pytest.mark.parametrize("shape", [(4, 4, 3), (5, 3)], ids=["words", "odd bytes"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_are_what_indexing_gives(shape, dtype):
  images = np.random.default_rng(0).integers(0, 256, (9, *shape)).astype(dtype)
  index = np.array([3, 3, 0, 8])
  np.testing.assert_array_equal(jax.jit(supervised.rows)(images, index), images[index])


@pytest.mark.parametrize("count", [1, 2, 64, 1000])
def test_shuffled_is_a_permutation(count):
  orders = np.stack([supervised.shuffled(jax.random.key(seed), count) for seed in range(3)])
  np.testing.assert_array_equal(np.sort(orders), np.broadcast_to(np.arange(count), (3, count)))
  if count > 2:
    assert (orders[0] != orders[1]).mean() > 0.8


def test_every_place_of_a_shuffle_is_as_likely():
  orders = jax.vmap(lambda key: supervised.shuffled(key, 5))(jax.random.split(jax.random.key(0), 4000))
  counts = (np.asarray(orders)[:, :, None] == np.arange(5)).sum(axis=0)
  assert np.abs(counts - 800).max() < 5 * np.sqrt(800)


def test_augmented_images_are_crops_of_the_padded_one_half_of_them_mirrored():
  count, size = 600, 6
  image = np.arange(1, size * size * 2 + 1, dtype=np.uint8).reshape(size, size, 2)
  out = np.asarray(jax.jit(augmented)(jnp.asarray(np.stack([image] * count)), jax.random.key(0)))
  padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
  offsets = range(2 * PADDING + 1)
  crops = np.stack([padded[i : i + size, j : j + size] for i in offsets for j in offsets])
  crops = np.concatenate([crops, crops[:, :, ::-1]])
  same = (out[:, None] == crops[None]).all(axis=(2, 3, 4))
  assert same.any(axis=1).all()
  seen = same.sum(axis=0)
  assert (seen > 0).mean() > 0.9
  assert abs(seen[: len(crops) // 2].sum() - count / 2) < 5 * np.sqrt(count / 4)


def test_a_recipe_says_whether_images_are_changed():
  images = np.arange(32, dtype=np.uint8).reshape(4, 2, 2, 2)
  data = Images(Examples(images, np.arange(4)), None, None, np.zeros(2, np.float32), np.ones(2, np.float32))
  indices, key = jnp.array([2, 0]), jax.random.key(0)
  brighter = supervised.Objective(None, None, lambda images, key: images + 1)
  for augment, added in ((None, 1), (True, 1), (False, 0)):
    batch = brighter.minibatch(data, indices, key, augment)
    np.testing.assert_array_equal(batch.images, data.inputs(images[[2, 0]] + np.uint8(added)))
    np.testing.assert_array_equal(batch.labels, [2, 0])
  with pytest.raises(ConfigError, match="corpus.recipe.augment: this task's images are never changed"):
    supervised.Objective(None, None).minibatch(data, indices, key, True)


def test_inputs_are_normalised_channel_by_channel():
  images = np.array([[[[0, 255]]]], np.uint8)
  data = Images(None, None, None, np.array([127.5, 255.0], np.float32), np.array([127.5, 51.0], np.float32))
  np.testing.assert_allclose(data.inputs(images), [[[[-1.0, 0.0]]]], atol=1e-6)
