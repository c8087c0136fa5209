/// `rank.sh`: what every launcher starts for every rank.
enum RankScript {
  static let name = "rank.sh"

  static func file(of command: RankCommand) -> LaunchFile {
    LaunchFile(
      name: name,
      text: #"""
        #!/usr/bin/env bash
        # One rank of the plan, started by torchrun, srun or mpirun: checks that it is where the plan has it, then becomes the
        # training program.

        """# + SharedScript.opening + start + environment(of: command) + words(of: command)
          + """

          exec "${command[@]}"

          """, isExecutable: true)
  }

  private static let start = #"""

    # Which rank this is. mpirun and torchrun may run inside of Slurm's steps, so Slurm has the last word.
    launcher_master="" launcher_port=""
    if [ -n "${RANK:-}" ] && [ -n "${LOCAL_RANK:-}" ]; then
      rank="$RANK" local_rank="$LOCAL_RANK" size="${WORLD_SIZE:-}"
      launcher_master="${MASTER_ADDR:-}" launcher_port="${MASTER_PORT:-}"
    elif [ -n "${OMPI_COMM_WORLD_RANK:-}" ]; then
      rank="$OMPI_COMM_WORLD_RANK" local_rank="${OMPI_COMM_WORLD_LOCAL_RANK:-}" size="${OMPI_COMM_WORLD_SIZE:-}"
    elif [ -n "${SLURM_PROCID:-}" ]; then
      rank="$SLURM_PROCID" local_rank="${SLURM_LOCALID:-}" size="${SLURM_NTASKS:-}"
    else
      stop "no launcher says which rank this is: neither RANK and LOCAL_RANK, nor OMPI_COMM_WORLD_RANK, nor SLURM_PROCID"
    fi
    case "$rank$local_rank" in *[!0-9]*) stop "expected numbers for rank and local rank, found $rank and $local_rank" ;; esac
    [ -n "$local_rank" ] || stop "the launcher does not say which rank of its node rank $rank is"
    [ -z "$size" ] || [ "$size" = "$rank_count" ] || stop "the launcher started $size ranks, the plan has $rank_count"

    # Where the plan has it.
    node="" device="" stage=""
    while IFS=$'\t' read -r line_rank line_node line_device line_stage; do
      if [ "$line_rank" = "$rank" ]; then
        node="$line_node" device="$line_device" stage="$line_stage"
        break
      fi
    done <"$folder/placement.tsv"
    [ -n "$node" ] || stop "the plan has $rank_count ranks, and no rank $rank"

    load_settings
    read_hosts
    read_own_names
    "$knows_hosts" || node="${hosts[rank / ranks_per_node]:-}"

    # Of the devices that the launcher lets this rank see, the place in order of the one that it will use.
    found_device="$local_rank"
    visible="${CUDA_VISIBLE_DEVICES:-${HIP_VISIBLE_DEVICES:-${ROCR_VISIBLE_DEVICES:-}}}"
    if [ -n "$visible" ]; then
      IFS=, read -r -a devices <<<"$visible"
      if [ "$local_rank" -ge "${#devices[@]}" ]; then
        stop "rank $rank is number $local_rank on ${own_names[0]} but sees ${#devices[@]} devices ($visible): let every rank see all"
      fi
      case "$visible" in
        *[!0-9,]*) ;;
        *)
          found_device=0
          for other in "${devices[@]}"; do
            if [ "$other" -lt "${devices[local_rank]}" ]; then found_device=$((found_device + 1)); fi
          done
          ;;
      esac
    fi

    # The plan's name for this host, where it has one.
    here="${own_names[0]}"
    if [ -n "$node" ] && is_here "$node"; then here="$node"; fi
    printf 'rank %s on %s device %s\n' "$rank" "$here" "$found_device"
    if [ "$here" != "${node:-$here}" ] || [ "$found_device" != "$device" ]; then
      stop "rank $rank is on $here device $found_device, but the plan has it on ${node:-its node} device $device"
    fi

    # Open MPI 4 binds a rank to the one core that its line in a rankfile names, whatever --bind-to says.
    if [ -n "${OMPI_COMM_WORLD_RANK:-}" ] && [ -r /sys/devices/system/cpu/online ]; then
      taskset -pc "$(cat /sys/devices/system/cpu/online)" "$$" >/dev/null 2>&1 || true
    fi

    [ -n "$launcher_master" ] || find_master
    export RANK="$rank" LOCAL_RANK="$local_rank" WORLD_SIZE="$rank_count" LOCAL_WORLD_SIZE="$ranks_per_node"
    export MASTER_ADDR="${launcher_master:-$master}" MASTER_PORT="${launcher_port:-$MASTER_PORT}"
    # Devices are numbered as the vendor's tools do and the plan does, not by speed.
    export CUDA_DEVICE_ORDER=PCI_BUS_ID

    """#

  private static func environment(of command: RankCommand) -> String {
    command.environment.map { "export \($0.name)=\(Shell.quoted($0.value))\n" }.joined()
  }

  /// The command, word by word, into the array `command`.
  private static func words(of command: RankCommand) -> String {
    var text = "\ncommand=()\n"
    for word in command.command {
      switch word {
      case .literal(let literal): text += "command+=(\(Shell.word(literal)))\n"
      case .setting(let name): text += "command+=(\"$\(name)\")\n"
      case .prefixed(let prefix, let name): text += "command+=(\(Shell.word(prefix))\"$\(name)\")\n"
      case .file(let name): text += "command+=(\"$folder\"/\(Shell.word(name)))\n"
      case .words(let name):
        text += """
          while IFS= read -r word || [ -n "$word" ]; do command+=("$word"); done <"$folder"/\(Shell.word(name))

          """
      }
    }
    guard command.stageArguments.contains(where: { !$0.isEmpty }) else { return text }
    text += "\(LaunchFile.stageWordsOpening)\n"
    for (stage, words) in command.stageArguments.enumerated() where !words.isEmpty {
      text += "  \(stage)) command+=(\(words.map(Shell.word).joined(separator: " "))) ;;\n"
    }
    return text + "esac\n"
  }
}
