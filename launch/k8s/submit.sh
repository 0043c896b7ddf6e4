#!/usr/bin/env bash
# One experiment as a JobSet on Kubernetes: fills jobset.yaml and gives it to kubectl. Needs the JobSet controller
# (jobset.sigs.k8s.io) in the cluster, an image of this project, and a volume claim that all pods can write to.
#
#   launch/k8s/submit.sh --name=mine --image=REGISTRY/g_pt:cuda --nodes=4 --claim=runs --resource=nvidia.com/gpu --count=8 \
#     --config=experiments/mnist_loss.py:paper --workdir=/runs/paper
#
# --name, --image, --claim   (NAME, IMAGE, CLAIM)
# --nodes=N                  pods, one a machine (NODES; default 1)
# --resource, --count        what a pod asks for (RESOURCE, COUNT; default cpu, 8)
# --dry-run                  print the manifest and the command alone
# All else goes to main.py.
set -euo pipefail

name="${NAME:-}" image="${IMAGE:-}" claim="${CLAIM:-}" nodes="${NODES:-1}"
resource="${RESOURCE:-cpu}" count="${COUNT:-8}" dry_run="" arguments=()
for argument in "$@"; do
  case "$argument" in
    --name=*) name="${argument#*=}" ;;
    --image=*) image="${argument#*=}" ;;
    --claim=*) claim="${argument#*=}" ;;
    --nodes=*) nodes="${argument#*=}" ;;
    --resource=*) resource="${argument#*=}" ;;
    --count=*) count="${argument#*=}" ;;
    --dry-run) dry_run=yes ;;
    *) arguments+=("$argument") ;;
  esac
done
for given in "name:$name" "image:$image" "claim:$claim"; do
  if [[ -z "${given#*:}" ]]; then
    echo "submit.sh: --${given%%:*}: missing" >&2
    exit 2
  fi
done

quoted=""
for argument in "${arguments[@]}"; do quoted+=", '${argument//\'/\'\'}'"; done
manifest="$(<"$(dirname "$0")/jobset.yaml")"
filled() { manifest="${manifest//@$1@/$2}"; }
filled name "$name"
filled image "$image"
filled claim "$claim"
filled nodes "$nodes"
filled resource "$resource"
filled count "$count"
manifest="${manifest//, @arguments@/$quoted}"
if [[ -n "$dry_run" ]]; then
  echo "$manifest"
  echo "# kubectl apply -f -"
else
  kubectl apply -f - <<<"$manifest"
fi
