"""A G.pt of CIFAR-10 classifiers (CNN of two convolutions, 5,370 parameters) by test loss.

Claim: convolutions are generated like any other weights.

  command   python main.py --config=experiments/cifar10_loss.py --workdir=runs/cifar10_loss
  time      on two CPU cores (Xeon, AVX-512): corpus 45 minutes with another program beside, training 48 on one core
            with another training on the other, alignment and one update 3 on one core
  expect    prompt alignment 0.872 on test runs (0.871 on training runs, 0.849 on held-out images); one
            update at prompt 1.2 takes fresh networks from a mean test loss of 2.31 to 1.54 (1.50 to
            1.61; held-out 1.56, whole test set 1.56) and to 56.0 % error; runs end at 1.38 and 49.2 %
            Samples of different starts are 11.0 apart, hidden units matched, of one start 10.3, ends of
            runs 15.5; the cosine with the run's own way is 0.42. Samples lie 12.8 from the nearest
            training end (ends of unseen runs 13.1); of 16, 19 % are novel and performant (of unseen ends 44 %)
  long      `cifar10_loss.py:long --workdir=runs/cifar10_loss_long`: 512 runs of 5 epochs, which end at 1.27 and
            45.0 %, and 4.3 million weights. On one H200 with others beside: corpus 2.7 minutes, training 9. Prompt
            alignment 0.968 on test runs (0.987 on training runs, 0.966 on held-out images); one update at prompt 1.2
            takes fresh networks from 2.31 to 1.40 (1.36 to 1.54; held-out 1.41, whole test set 1.40) and to 50.2 %
            error. Samples of different starts are 15.0 apart, hidden units matched, of one start 8.1, ends of runs
            18.8; the cosine with the run's own way is 0.47. Samples lie 15.8 from the nearest of 32 training ends
            (ends of unseen runs 17.4). Evaluated by a cut of the corpus, 64 of its runs, made again on a CPU

What limits it: what the model makes of training runs is no better than of unseen ones, so that it is the
model, or its time, and not the corpus, whose nearest checkpoint has an alignment of 0.989. Alignment on validation runs
after 350, 700, 1,050 and 1,400 steps: 0.44, 0.75, 0.85 and 0.88.

What settled it. 768 runs of one epoch with crops and flips end at 1.70, and a model that compares what
networks do on 8 images a batch, without their losses, has an alignment of 0.49 and one update at 1.77.
In so few epochs crops and flips cost more than they give, and four times as many parts of a batch, each
with images of its own, cost nothing. Comparing what networks do takes a fifth of a step.
The rate falls at each step (`recipe.schedule=linear`): by a cosine from epoch to epoch the same two epochs, in batches
of 16 at 0.04, end at 1.47 rather than 1.38, and the model of their corpus had 0.835 and 1.57. Other recipes, on all
test images, two networks each: this one 1.400 and 49.6 % (`python -m experiments.benchmarks.recipes` takes its
fields); by a cosine that falls at each step, which no recipe has, batches of 16, 0.08, 1.407 and 50.2 %, in one
epoch 1.526 and 55.0 %.
Sampling, on validation runs, in 16 steps at temperatures of 0, 0.5 and 1: alignment 0.831, 0.858 and 0.849, one update
1.56, 1.54 and 1.54; in 8 steps 0.827, 0.853 and 0.851.
Mirrored filters are no more runs: networks of the end, mirrored, are worse by 0.09 (1.49 to 1.58), as a
convolution of stride 2 sees other pixels of a mirrored image. 128 runs of 100,000 images were too few:
alignment 0.71 on training runs and -3.3 on unseen ones.

`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  if variant == "paper":
    return paper()
  config = default("cifar10", "test_loss")
  config.corpus.update(runs=448, checkpoints=24, group_size=8, validation_runs=16, test_runs=16)
  config.corpus.recipe.update(epochs=2, batch_size=32, learning_rate=0.1, test_examples=1000, train_examples=100)
  config.corpus.recipe.update(schedule="linear", augment=False)
  config.diffusion.update(variable="update", precondition=True, schedule="cosine")
  config.model.update(width=96, depth=4)
  config.train.update(steps=1400, optimizer="muon", learning_rate=6e-3, checkpoint_every=350, probe_every=350)
  # Small parts of a batch: each has images of its own.
  config.train.update(microbatches=16, behaviour=10.0, behaviour_inputs=16)
  config.train.pairs.initial_fraction = 0.8
  config.sample.update(steps=8, temperature=0.7, stop=0.4)
  # Measuring 32 of these networks on all images takes 8 seconds of two cores.
  config.evaluate.alignment.networks = 16
  config.evaluate.course.update(networks=4, prompts=10)
  config.evaluate.recursion.networks = 4
  config.evaluate.further_steps.networks = 8
  config.evaluate.landscape.update(grid=31, basins=12)
  config.evaluate.few_evaluations.networks = 8
  config.evaluate.extrapolation.networks = 8
  config.optimizers.update(networks=16, tuning_networks=2, points=20, optimizers=("nesterov", "adamw"))
  if variant == "long":
    config.corpus.update(runs=512, checkpoints=32, group_size=64)
    config.corpus.recipe.update(epochs=5, learning_rate=0.08, test_examples=0)
    config.model.update(width=160, depth=6)
    config.train.update(steps=6000, batch_size=512, microbatches=2, behaviour_inputs=32)
    config.train.update(checkpoint_every=2000, probe_every=0)
  elif variant == "smoke":
    config.corpus.update(runs=6, checkpoints=5, group_size=2, validation_runs=2, test_runs=2)
    config.corpus.recipe.update(epochs=1, batch_size=256, examples=2048, test_examples=100, train_examples=100)
    config.model.update(width=32, depth=1)
    config.train.update(steps=20, batch_size=16, microbatches=1, log_every=10, checkpoint_every=10, probe_every=10)
    config.train.optimizer = "adamw"  # Muon takes as long to compile as all else
    config.evaluate.alignment.update(networks=2, prompts=4)
    config.evaluate.course.update(networks=2, prompts=4)
    config.evaluate.recursion.update(networks=4, updates=2, inits=("own", "double"))
    config.train.history = 2
    config.optimizers.update(networks=2, tuning_networks=2, points=5, optimizers=())  # which would take minutes
  elif variant != "default":
    raise ValueError(f"cifar10_loss: unknown variant {variant!r}; it is default, long, paper or smoke")
  return config


def paper() -> ConfigDict:
  """The published scale: 56,840 runs of 200 checkpoints, 639M weights, 1.49M steps of 550 pairs."""
  config = default("cifar10", "test_loss", model="chunk_transformer")
  config.corpus.update(runs=56_840, test_runs=2050, checkpoints=200, save_points="uniform", group_size=16)
  config.model.update(width=2048, heads=16, chunk_size=576)
  config.diffusion.scale = 1.646
  config.train.update(steps=1_490_000, batch_size=550, microbatches=1, learning_rate=4e-4, warmup_steps=1833)
  config.train.update(final_learning_rate=0.0, b2=0.999, weight_decay=0.1, clip_norm=0.1, average_decay=0.9999)
  config.train.pairs.update(weighting="uniform", permute=True)
  config.sample.update(sampler="ddpm", steps=1000)
  return config
