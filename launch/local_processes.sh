#!/usr/bin/env bash
# Runs main.py as several processes of one job on this machine; all of them end when one fails.
#
#   launch/local_processes.sh --processes=2 --config=experiments/digits_loss.py --workdir=runs/digits_loss
#
# --processes=N   how many (default 2)      --port=N   where they meet (default: a free one)
# --dry-run       print the commands alone  PYTHON     the interpreter (default .venv/bin/python)
# All else goes to main.py.
set -euo pipefail

processes=2 port="" dry_run="" arguments=()
for argument in "$@"; do
  case "$argument" in
    --processes=*) processes="${argument#*=}" ;;
    --port=*) port="${argument#*=}" ;;
    --dry-run) dry_run=yes ;;
    *) arguments+=("$argument") ;;
  esac
done
if ! [[ "$processes" =~ ^[1-9][0-9]*$ ]]; then
  echo "local_processes.sh: --processes: $processes is not a number from 1" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"
if [[ -z "$port" && -z "$dry_run" ]]; then
  port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
fi

command=("$python" main.py "${arguments[@]}" "--coordinator=127.0.0.1:${port:-PORT}" "--processes=$processes")
if [[ -n "$dry_run" ]]; then
  for ((process = 0; process < processes; process++)); do
    echo "${command[*]} --process=$process"
  done
  exit 0
fi

jobs=()
end_all() { kill "${jobs[@]}" 2>/dev/null || true; }
trap end_all TERM INT
for ((process = 0; process < processes; process++)); do
  "${command[@]}" "--process=$process" &
  jobs+=("$!")
done
status=0
for ((left = processes; left > 0; left--)); do
  wait -n || { ended=$?; [[ "$status" != 0 ]] || status=$ended; end_all; }
done
exit "$status"
