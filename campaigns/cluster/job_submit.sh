#!/usr/bin/env bash
# campaigns/cluster/job_submit.sh campaign.yaml FOLDER     (a running cluster; RAY_ADDRESS=http://head:8265 and its token are set)
# FOLDER is one that outlives the cluster and that its head can reach: a shared file system, or s3://bucket/NAME.
set -euo pipefail
spec=${1:?campaign file}
folder=${2:?campaign folder}
ray job submit --working-dir "$(dirname "$spec")" -- inverse-design run "$(basename "$spec")" -o "$folder" --resume auto
