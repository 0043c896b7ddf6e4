"""MLP 64-10-10 on scikit-learn's handwritten digits: needs nothing but PyPI and minutes."""

from g_pt.tasks import classifiers, datasets, networks
from g_pt.tasks.base import Metric
from g_pt.tasks.supervised import SupervisedRecipe

_WIDTHS = (10, 10)

TASK = classifiers.task(
  name="digits",
  classifier=networks.MLP(_WIDTHS),
  hidden_layers=networks.mlp_hidden_layers(_WIDTHS),
  input_shape=(64,),
  load=datasets.digits,
  metrics={
    "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.05),
    "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=2.0),
  },
  recipe=SupervisedRecipe(epochs=25, batch_size=32),
)
