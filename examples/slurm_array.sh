#!/bin/bash
#SBATCH --job-name=elf
#SBATCH --array=0-9
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
# A trajectory in parts, one per task of a Slurm array, with no scheduler between them:
#
#     sbatch slurm_array.sh run.xtc 10000 parts --topology start.pdb --timestep 1
#     ase-elf merge parts/part-* -o all            # when all have ended
#
# trajectory, frames per task, folder, then options of `ase-elf analyze`. A task that was killed or
# reached its time limit is submitted again as it is: it goes on. With GPUs add --gres=gpu:1.
set -eu
trajectory=$1 frames=$2 folder=$3
shift 3
first=$((SLURM_ARRAY_TASK_ID * frames))
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
exec ase-elf analyze "$trajectory" --start "$first" --stop $((first + frames)) \
    -o "$folder/part-$SLURM_ARRAY_TASK_ID" --no-report "$@"
