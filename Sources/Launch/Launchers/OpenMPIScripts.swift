/// `mpirun.sh` and `rankfile`: Open MPI, which promises an order of hosts only where a rankfile states it.
///
/// A line of a rankfile names a host and a core (`slot`). Open MPI 5 (PRRTE, `rmaps_rank_file.c`, main 52d5e4bb) binds to
/// it only if something else than `--bind-to none` is asked for; 4.1.4 binds to it in any case (tried), so that `rank.sh`
/// widens the binding again.
enum OpenMPIScripts {
  static let options = LauncherSetting(
    name: "MPIRUN_OPTIONS", value: .words,
    comment: "More options of mpirun, a word each, such as --mca btl_tcp_if_include eth0.")

  static func files(of job: LaunchJob) -> [LaunchFile] {
    var files = [script]
    if let hosts = job.hosts {
      var text = ""
      for (node, host) in hosts.enumerated() {
        for device in 0..<job.ranksPerNode {
          text += "rank \(node * job.ranksPerNode + device)=\(host) slot=\(device)\n"
        }
      }
      files.append(LaunchFile(name: "rankfile", text: text))
    }
    return files
  }

  private static let script = LaunchFile(
    name: "mpirun.sh",
    text: #"""
      #!/usr/bin/env bash
      # Starts all ranks with Open MPI.

      """# + SharedScript.opening + #"""

        load_settings
        read_hosts
        [ "${#hosts[@]}" -gt 0 ] || stop "no hosts are known: name $node_count of them in $folder/hosts"

        hostfile=hosts rankfile=rankfile
        if ! "$knows_hosts"; then
          made="$(mktemp -d)" || exit 1
          trap 'rm -rf -- "$made"' EXIT
          hostfile="$made/hosts" rankfile="$made/rankfile"
          for ((rank = 0; rank < rank_count; rank++)); do
            host="${hosts[rank / ranks_per_node]}" slot=$((rank % ranks_per_node))
            if [ "$slot" -eq 0 ]; then echo "$host slots=$ranks_per_node" >>"$hostfile"; fi
            echo "rank $rank=$host slot=$slot" >>"$rankfile"
          done
        fi
        mpirun -np "$rank_count" --hostfile "$hostfile" --rankfile "$rankfile" --bind-to none "${MPIRUN_OPTIONS[@]}" \
          "$folder/rank.sh"

        """#, isExecutable: true)

  static func instructions(for job: LaunchJob) -> String {
    let hosts = job.hosts == nil ? " Name the hosts in the file `hosts` first, unless Slurm allocates them." : ""
    return "On a host that reaches all others: `./mpirun.sh` (Open MPI 4 or 5).\(hosts)"
  }
}
