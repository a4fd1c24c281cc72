#!/usr/bin/env bash
# sbatch campaigns/cluster/slurm.sh campaign.yaml /shared/runs/NAME     (whole nodes; Ray 2.49 or newer)
#SBATCH --job-name=inverse-design
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
spec=${1:?campaign file}
folder=${2:?campaign folder, on a file system that all nodes share}

# Two minutes before the end the job goes back into the queue; started again, it goes on from its last finished shard.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

# Other users of these machines must not run code in this cluster.
umask 077
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/inverse-design-$SLURM_JOB_ID" RAY_USAGE_STATS_ENABLED=0
mkdir -p "$HOME/.ray"
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
head=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
# Ray makes workers yield to everything else on a machine, but they are the work here.
export OMP_NUM_THREADS=1 RAY_worker_niceness=0

srun --kill-on-bad-exit=0 ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --include-dashboard=false -- \
  inverse-design run "$spec" -o "$folder" --resume auto --address "$head:6379" \
  --workers $((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK)) &
wait $!
code=$?
rm -f "$RAY_AUTH_TOKEN_PATH"
[ "$code" -ne 75 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
