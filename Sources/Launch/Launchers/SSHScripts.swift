/// `ssh.sh` and `remote.sh`: torchrun's script on every host over ssh, as one job.
///
/// ssh passes no signals on, so a line on its standard input does; when the input ends, because this side is gone, the
/// other side stops as well.
enum SSHScripts {
  static let options = LauncherSetting(
    name: "SSH_OPTIONS", value: .words, comment: "More options of ssh, a word each, such as -i and the path of a key.")

  static let files = [
    LaunchFile(
      name: "ssh.sh",
      text: #"""
        #!/usr/bin/env bash
        # Starts torchrun.sh on every host over ssh. Passes SIGINT and SIGTERM on; when one host fails, stops the others and
        # ends with its exit code.

        """# + SharedScript.opening + local, isExecutable: true),
    LaunchFile(
      name: "remote.sh",
      text: #"""
        #!/usr/bin/env bash
        # What ssh.sh starts on a host: torchrun.sh, which gets the signals that lines of the input name, and SIGTERM when the
        # input ends.

        """# + SharedScript.opening + remote, isExecutable: true),
  ]

  private static let local = #"""

    load_settings
    read_hosts
    [ "${#hosts[@]}" -gt 0 ] || stop "no hosts are known: name $node_count of them in $folder/hosts"

    made="$(mktemp -d)" || exit 1
    trap 'rm -rf -- "$made"' EXIT
    : >"$made/signals"
    trap 'echo INT >>"$made/signals"' INT
    trap 'echo TERM >>"$made/signals"' TERM

    # The path of remote.sh as one word of the other side's shell.
    quote="'" escaped="'\\''"
    remote="'${folder//$quote/$escaped}/remote.sh'"
    mkfifo "$made/ended" || exit 1
    exec 8<>"$made/ended"
    for ((node = 0; node < node_count; node++)); do
      (
        trap '' INT TERM
        ssh -o BatchMode=yes -o ServerAliveInterval=30 "${SSH_OPTIONS[@]}" -- "${hosts[node]}" "exec bash $remote $node" \
          8>&- < <(exec tail -n +1 -f --pid="$$" "$made/signals" 2>/dev/null 8>&-)
        echo "$node $?" >&8
      ) &
    done

    # The first that fails decides; the others get two minutes to end.
    result=0 left="$node_count" waited=0
    while [ "$left" -gt 0 ]; do
      if read -r -t 1 node status <&8; then
        left=$((left - 1))
        if [ "$status" -ne 0 ]; then
          echo "ssh.sh: ${hosts[node]} (node $node) ended with exit code $status" >&2
          if [ "$result" -eq 0 ]; then
            result="$status"
            echo TERM >>"$made/signals"
          fi
        fi
      elif [ "$result" -ne 0 ]; then
        waited=$((waited + 1))
        [ "$waited" -lt 120 ] || stop "$left hosts do not end"
      fi
    done
    exit "$result"

    """#

  private static let remote = #"""

    # Jobs of their own, so that torchrun may take SIGINT, which a shell's background jobs ignore.
    set -m
    bash "$folder/torchrun.sh" "$1" </dev/null &
    job="$!"
    exec 3<&0
    (
      while read -r signal <&3; do kill -s "$signal" "$job"; done
      kill -s TERM "$job" 2>/dev/null
    ) &
    watcher="$!"
    disown "$watcher"
    wait "$job"
    status=$?
    kill -s KILL -- "-$watcher" 2>/dev/null
    exit "$status"

    """#

  static func instructions(for job: LaunchJob) -> String {
    let hosts = job.hosts == nil ? " Name the hosts in the file `hosts` first." : ""
    return """
      On a host that reaches all others without a password: `./ssh.sh`. This folder must be at the same path on every \
      host.\(hosts)
      """
  }
}
