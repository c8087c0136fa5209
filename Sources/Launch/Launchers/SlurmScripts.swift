/// `slurm.sbatch` and `submit.sh`: a batch job with a task for every rank.
///
/// Where hosts are named, tasks are laid out by `SLURM_HOSTFILE`, a line a task, and `--distribution=arbitrary` (Slurm's
/// `srun` manual and `src/common/slurm_opt.c`, main 284c3b95); `--nodes` may then not be given to `srun`.
enum SlurmScripts {
  static let settings = [
    LauncherSetting(
      name: "SBATCH_OPTIONS", value: .words,
      comment: "Options of sbatch that your cluster asks for, a word each: --account=… --partition=… --time=…"),
    LauncherSetting(name: "SRUN_OPTIONS", value: .words, comment: "More options of srun, a word each."),
  ]

  static func files(of job: LaunchJob) -> [LaunchFile] { [batch(job), submission] }

  private static func batch(_ job: LaunchJob) -> LaunchFile {
    let nodeList = job.hosts.map { "#SBATCH --nodelist=\($0.joined(separator: ","))\n" } ?? ""
    return LaunchFile(
      name: "slurm.sbatch",
      text: """
        #!/usr/bin/env bash
        #SBATCH --job-name=\(job.name)
        #SBATCH --nodes=\(job.nodeCount)
        #SBATCH --ntasks-per-node=\(job.ranksPerNode)
        #SBATCH --gres=gpu:\(job.ranksPerNode)
        #SBATCH --exclusive
        #SBATCH --mem=0
        \(nodeList)
        """ + #"""
          # Submit it from its own folder, or with submit.sh. Slurm runs a copy of it, so the folder is the working directory.
          folder="$PWD"
          if [ ! -f "$folder/placement.tsv" ] || [ ! -f "$folder/common.sh" ]; then
            echo "slurm.sbatch: $folder is not the launch folder: submit from there, or with submit.sh" >&2
            exit 1
          fi
          . "$folder/common.sh"
          load_settings
          read_hosts

          # Every task sees all processors and devices of its node: ranks choose their device by their number in the node.
          step=(srun --ntasks="$rank_count" --kill-on-bad-exit=1 --cpu-bind=none)
          if "$knows_hosts"; then
            # The plan's order, in the names that Slurm has for the hosts.
            allocated=()
            while read -r name; do allocated+=("$name"); done < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
            SLURM_HOSTFILE="$(mktemp)" || exit 1
            trap 'rm -f -- "$SLURM_HOSTFILE"' EXIT
            for host in "${hosts[@]}"; do
              found=""
              for name in "${allocated[@]}"; do
                if same_host "$name" "$host"; then found="$name"; fi
              done
              [ -n "$found" ] || stop "the plan needs $host, the allocation has ${allocated[*]}"
              for ((index = 0; index < ranks_per_node; index++)); do echo "$found"; done >>"$SLURM_HOSTFILE"
            done
            export SLURM_HOSTFILE
            step+=(--distribution=arbitrary)
          else
            step+=(--ntasks-per-node="$ranks_per_node" --distribution=block)
          fi
          "${step[@]}" "${SRUN_OPTIONS[@]}" "$folder/rank.sh"

          """#)
  }

  private static let submission = LaunchFile(
    name: "submit.sh",
    text: #"""
      #!/usr/bin/env bash
      # Submits slurm.sbatch with the options of settings.sh and those given here.

      """# + SharedScript.opening + #"""

        load_settings
        exec sbatch --chdir="$folder" "${SBATCH_OPTIONS[@]}" "$@" "$folder/slurm.sbatch"

        """#, isExecutable: true)

  static func instructions(for job: LaunchJob) -> String {
    let order =
      job.hosts != nil
      ? """
      The job asks for the plan's hosts, and `srun` lays the ranks out in the plan's order (arbitrary distribution, which \
      topology plugins that reorder nodes do not allow).
      """
      : "The nodes are those that Slurm allocates, in its order."
    return "`./submit.sh`, or `sbatch slurm.sbatch` in this folder, which all nodes must see. \(order)"
  }
}
