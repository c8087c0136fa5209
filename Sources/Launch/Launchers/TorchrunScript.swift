/// `torchrun.sh`: starts the ranks of one node; run on every node.
///
/// Ranks follow the node's number in static rendezvous alone (PyTorch, `torch/distributed/run.py` and
/// `elastic/rendezvous/static_tcp_rendezvous.py`): under c10d, hosts are sorted as strings, `node66` before `node7`.
enum TorchrunScript {
  static let name = "torchrun.sh"
  static let options = LauncherSetting(
    name: "TORCHRUN_OPTIONS", value: .words, comment: "More options of torchrun, a word each, such as --log-dir=logs.")

  static func file(of job: LaunchJob) -> LaunchFile {
    LaunchFile(
      name: name,
      text: #"""
        #!/usr/bin/env bash
        # Starts the ranks of this node. Run it on every node; the node's number, counted from 0, is found by the host's name
        # or is the argument.

        """# + SharedScript.opening + #"""

          load_settings
          read_hosts
          read_own_names

          node_rank="${1:-}"
          if [ -z "$node_rank" ]; then
            for ((index = 0; index < ${#hosts[@]}; index++)); do
              if is_here "${hosts[index]}"; then
                node_rank="$index"
                break
              fi
            done
          fi
          if [ -z "$node_rank" ]; then
            if [ "${#hosts[@]}" -gt 0 ]; then stop "this host (${own_names[*]}) is not one of the plan's: ${hosts[*]}"; fi
            [ "$node_count" -eq 1 ] || stop "no hosts are known: fill in hosts, or say which of the $node_count nodes this is: torchrun.sh NODE"
            node_rank=0
          fi
          case "$node_rank" in *[!0-9]*) stop "expected the number of a node, found $node_rank" ;; esac
          [ "$node_rank" -lt "$node_count" ] || stop "the plan has $node_count nodes, and no node $node_rank"

          find_master
          exec torchrun --nnodes="$node_count" --nproc-per-node="$ranks_per_node" --rdzv-backend=static \
            --node-rank="$node_rank" --master-addr="$master" --master-port="$MASTER_PORT" "${TORCHRUN_OPTIONS[@]}" \
            --no-python "$folder/rank.sh"

          """#, isExecutable: true)
  }

  static func instructions(for job: LaunchJob) -> String {
    if job.nodeCount == 1 { return "On the node: `./torchrun.sh`." }
    return job.hosts != nil
      ? "On every node: `./torchrun.sh`. It finds the node's number by the host's name in `hosts`."
      : """
      On every node: `./torchrun.sh NODE` with the node's number from 0 to \(job.nodeCount - 1), and in `settings.sh` \
      MASTER_ADDR, the address of node 0; or name the hosts in the file `hosts` and leave both out.
      """
  }
}
