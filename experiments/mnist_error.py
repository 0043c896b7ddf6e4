"""A G.pt of MNIST classifiers by test error: the corpus and model of `mnist_loss`.

Claim: an error is prompted like a loss, though it cannot be differentiated.

  command   python main.py --config=experiments/mnist_error.py --workdir=runs/mnist_error
  time      with the corpus of `mnist_loss` and its optimizers there, on two CPU cores (EPYC, AVX-512)
            with another training beside: training 11 minutes, evaluation 1
  expect    prompt alignment 0.925 on test runs (0.916 on training runs, 0.933 on held-out data); one
            update at prompt 5 % takes fresh networks from a mean test error of 89.7 % to 6.50 % (5.4 to
            8.8 %; held-out 7.29 %, whole test set 6.90 %), worth 1,086 steps of Nesterov (990 to 1,187);
            runs end at 5.56 %. From eight inits 6.2 to 10.4 % after one update, 6.8 to 7.3 % after three
            (held-out 7.4 to 8.0 %), 7.6 to 7.8 % after ten

  long      `mnist_error.py:long --workdir=runs/mnist_error_long`, the corpus and model of `mnist_loss.py:long`. On
            one H200 with three other programs beside: training 4 minutes. Prompt alignment 0.972 on test runs (0.982
            on training runs, 0.974 on held-out data); one update at prompt 5 % ends at 5.86 % (4.9 to 10.9 %;
            held-out 6.51 %, whole test set 6.18 %); runs end at 5.32 %.
            Samples of different starts are 7.4 apart, hidden units matched, of one start 4.6, ends of runs 9.7; the
            cosine with the run's own way is 0.45; samples lie 4.9 from the nearest training end (ends of unseen runs
            4.6)

Sampling is a choice between the two numbers: cold and stopped early, as here, samples err less
than is asked for in the middle; with `--config.sample.temperature=1 --config.sample.stop=0` the
same model has an alignment of 0.957, and 9.4 % at prompt 5 % (32 networks).

All that was measured when target and estimate were compared by the divergence of their outputs alone, not
by their errors, too: on digits that was 0.927 for 0.965.

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
  elif variant == "long":
    config.train.steps = 12_000
  elif variant == "truncated":
    config.corpus.only_up_to = 10.0
  return config
