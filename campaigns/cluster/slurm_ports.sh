#!/usr/bin/env bash
# sbatch campaigns/cluster/slurm_ports.sh campaign.yaml /shared/runs/NAME     (nodes shared with other jobs: ports of its own)
#SBATCH --job-name=inverse-design
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
spec=${1:?campaign file}
folder=${2:?campaign folder, on a file system that all nodes share}

trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
umask 077
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/inverse-design-$SLURM_JOB_ID" RAY_USAGE_STATS_ENABLED=0
mkdir -p "$HOME/.ray"
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"

# 40 groups of 1,000 ports, by job: the chance that two jobs on a node share one is 1 in 40, and Ray then says so and ends.
base=$((20000 + SLURM_JOB_ID % 40 * 1000))
ports=(--node-manager-port=$((base + 1)) --object-manager-port=$((base + 2)) --runtime-env-agent-port=$((base + 3))
  --metrics-export-port=$((base + 4)) --dashboard-agent-grpc-port=$((base + 5)) --dashboard-agent-listen-port=$((base + 6))
  --min-worker-port=$((base + 100)) --max-worker-port=$((base + 999)))
common=(--block --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${ports[@]}")

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')
# Ray makes workers yield to everything else on a machine, but they are the work here.
export OMP_NUM_THREADS=1 RAY_worker_niceness=0

srun --nodes=1 --ntasks=1 --overlap --nodelist="${nodes[0]}" \
  ray start --head --node-ip-address="$head" --port="$base" --include-dashboard=false "${common[@]}" &
sleep 20
if [ "${#nodes[@]}" -gt 1 ]; then
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --overlap --exclude="${nodes[0]}" \
    ray start --address="$head:$base" "${common[@]}" &
fi
srun --nodes=1 --ntasks=1 --overlap --nodelist="${nodes[0]}" \
  inverse-design run "$spec" -o "$folder" --resume auto --address "$head:$base" \
  --workers $((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK)) &
wait $!
code=$?
rm -f "$RAY_AUTH_TOKEN_PATH"
[ "$code" -ne 75 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
