"""A G.pt of MNIST classifiers by test error, which has no gradient: the corpus and model of `mnist_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/mnist_error.py --workdir=runs/mnist_error
  time      with the corpus of `mnist_loss` and its optimizers there, on one CPU core of two (EPYC, no
            AVX-512), the other busy: training 30 minutes, evaluation 2
  expect    prompt alignment 0.920 on test runs (0.915 on training runs, 0.929 on held-out data); one
            update at prompt 5 % takes fresh networks from a mean test error of 89.7 % to 6.37 % (5.3 to
            8.7 %; held-out 7.18 %, whole test set 6.78 %); runs end at 5.56 %

Sampling is a choice between the two numbers: cold and stopped early, as here, samples err less
than is asked for in the middle; with `--config.sample.temperature=1 --config.sample.stop=0` the
same model has an alignment of 0.957, and 9.4 % at prompt 5 % (32 networks).

`--config.corpus.path=runs/mnist_loss/corpus` takes the corpus of `mnist_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import mnist_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = mnist_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.train.steps = 3000
  elif variant == "truncated":
    config.corpus.only_up_to = 10.0
  return config
