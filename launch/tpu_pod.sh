#!/usr/bin/env bash
# One experiment on a Cloud TPU slice: make it, set it up, run, delete it. Needs gcloud, logged in, with a project.
#
#   launch/tpu_pod.sh create --name=mine --zone=us-west4-a --type=v5litepod-16
#   launch/tpu_pod.sh setup  --name=mine --zone=us-west4-a
#   launch/tpu_pod.sh run    --name=mine --zone=us-west4-a --config=experiments/mnist_loss.py:paper --workdir=/mnt/runs/paper
#   launch/tpu_pod.sh delete --name=mine --zone=us-west4-a
#
# --name, --zone   of the slice (or TPU_NAME, TPU_ZONE)
# --type           accelerator (TPU_TYPE; default v5litepod-16)
# --version        of the TPU VM's software (TPU_VERSION; default v2-alpha-tpuv5-lite)
# --spot           cheaper, and may be taken away: training saves on SIGTERM
# --repository     what is cloned (REPOSITORY; default: this checkout's remote `origin`)
# --dry-run        print the commands alone
# All else goes to main.py, behind `run`. The workdir must be one that all hosts see.
set -euo pipefail

action="${1:-}"
shift || true
name="${TPU_NAME:-}" zone="${TPU_ZONE:-}" type="${TPU_TYPE:-v5litepod-16}"
version="${TPU_VERSION:-v2-alpha-tpuv5-lite}" repository="${REPOSITORY:-}" spot="" dry_run="" arguments=()
for argument in "$@"; do
  case "$argument" in
    --name=*) name="${argument#*=}" ;;
    --zone=*) zone="${argument#*=}" ;;
    --type=*) type="${argument#*=}" ;;
    --version=*) version="${argument#*=}" ;;
    --repository=*) repository="${argument#*=}" ;;
    --spot) spot=yes ;;
    --dry-run) dry_run=yes ;;
    *) arguments+=("$argument") ;;
  esac
done
fail() {
  echo "tpu_pod.sh: $1" >&2
  exit 2
}
[[ -n "$name" ]] || fail "--name: missing"
[[ -n "$zone" ]] || fail "--zone: missing"

gcloud_tpu=(gcloud compute tpus tpu-vm)
run() {
  if [[ -n "$dry_run" ]]; then printf '%q ' "$@" && echo; else "$@"; fi
}
everywhere() { run "${gcloud_tpu[@]}" ssh "$name" --zone="$zone" --worker=all --command="$1"; }

case "$action" in
  create) run "${gcloud_tpu[@]}" create "$name" --zone="$zone" --accelerator-type="$type" --version="$version" ${spot:+--spot} ;;
  setup)
    repository="${repository:-$(git -C "$(dirname "$0")" remote get-url origin 2>/dev/null || true)}"
    [[ -n "$repository" ]] || fail "--repository: missing, and this checkout has no remote"
    everywhere "git clone --depth=1 $(printf '%q' "$repository") g_pt && cd g_pt && make setup && .venv/bin/pip install --quiet -e .[tpu]"
    ;;
  run) everywhere "cd g_pt && .venv/bin/python main.py --multihost$(printf ' %q' "${arguments[@]}")" ;;
  delete) run "${gcloud_tpu[@]}" delete "$name" --zone="$zone" --quiet ;;
  *) fail "the first word is create, setup, run or delete, not '$action'" ;;
esac
