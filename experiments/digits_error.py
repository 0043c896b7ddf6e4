"""A G.pt of digit classifiers by test error: the corpus and model of `digits_loss`.

Claim: an error is prompted like a loss, though it cannot be differentiated.

  command   python main.py --config=experiments/digits_error.py --workdir=runs/digits_error
  time      11 minutes on one CPU core (Xeon, AVX-512) with others beside: corpus 0.6, training 8.5,
            evaluation 1.5
  expect    prompt alignment 0.965 on test runs (0.959 on held-out images); one update at prompt 2 %
            takes fresh networks from a mean test error of 90.4 % to 2.94 % (1.1 to 5.6 %), on held-out
            images 3.81 %, on the whole test set 3.38 %, worth 349 steps of Nesterov (256 on held-out
            images); runs end at 3.05 %. Samples of different starts are 8.2 apart, hidden units matched, of
            one start 2.6, ends of runs 11.9; the cosine with the run's own way is 0.73; none is farther
            from every training end than these from each other (of unseen ends 20 %)

In training, target and estimate are also compared in the share of images that they get wrong, by a soft
form of it. Without that, errors between the best and the worst came out lower than was asked, 25 %
asked for 16 % got, as few steps of sampling average what networks do, which errs less than any one
of them: alignment 0.927 in 50 steps of sampling, one update 4.1 %.

How much that difference counts, after 1,000 steps of training (validation runs, one update; a divergence
counts 1): 60, being better than the target counting as much as being worse, 0.976 and 4.5 %; 60, the less
the better the prompt, 0.975 and 4.1 %; 20 likewise 0.968 and 3.5 %; 12, after 1,500 steps, 0.972 and 3.3 %,
after 2,500 0.973 and 2.9 %. By loss, 20 of differences in loss has 0.996 and 0.107, 4 has 0.997 and
0.093, none 0.992 and 0.095: what is asked for is met, and networks are no worse. With it, sampling
matters little: from 3 to 50 steps, at temperatures of 0 to 1, stopped at 0.2 or 0.4, alignment is 0.972 to 0.979.

Smaller batches, as many pairs in all (validation runs, 16 steps of sampling, temperature 0.5, stopped at 0.4): 800
steps of 256 pairs have 0.961 and 3.97 % after 177 s, 1,600 of 128 0.964 and 3.77 % after 198 s, 3,200 of 64 0.966
and 4.31 % after 233 s: nothing that is worth its time.

`--config.corpus.path=runs/digits_loss/corpus` takes the corpus of `digits_loss`, which is the same.
`:chunk`, `:paper` and `:smoke` are those of `digits_loss`.
"""

from ml_collections import ConfigDict

from experiments import digits_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = digits_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.train.steps = 2500
    config.sample.stop = 0.4
  elif variant == "truncated":
    config.corpus.only_up_to = 10.0
  return config
