/// `common.sh`: what the scripts of a launch folder share. They source it.
enum SharedScript {
  static let name = "common.sh"

  /// The first lines of every script: its folder, also of a path that ends with a line feed, becomes `$folder` and the
  /// working directory.
  static let opening = #"""
    folder="${BASH_SOURCE[0]%/*}"
    [ "$folder" != "${BASH_SOURCE[0]}" ] || folder=.
    CDPATH='' cd -- "$folder" >/dev/null || exit 1
    folder="$PWD"
    . "$folder/common.sh"

    """#

  static func file(of command: RankCommand, job: LaunchJob) -> LaunchFile {
    LaunchFile(
      name: name,
      text: #"""
        # What the scripts of this launch folder share; they source it, with $folder set to the folder.

        node_count=\#(job.nodeCount)
        ranks_per_node=\#(job.ranksPerNode)
        rank_count=\#(job.rankCount)
        # Whether the plan says which host is which node; else the hosts are found at start.
        knows_hosts=\#(job.hosts != nil)
        # Settings without which nothing starts.
        required=(\#(SettingsFile.required(of: command).joined(separator: " ")))

        stop() {
          printf '%s: %s\n' "${0##*/}" "$*" >&2
          exit 1
        }

        load_settings() {
          local name
          # What is set there is seen by the ranks' programs as well.
          set -a
          . "$folder/settings.sh"
          set +a
          for name in "${required[@]}"; do
            [ -n "${!name}" ] || stop "settings.sh: $name is empty: fill it in"
          done
        }

        # The hosts in the plan's order, into the array hosts: those of the file hosts, else of Slurm's allocation, else none.
        read_hosts() {
          local name rest
          hosts=()
          while read -r name rest || [ -n "$name" ]; do
            case "$name" in '' | '#'*) ;; *) hosts+=("$name") ;; esac
          done <"$folder/hosts"
          if [ "${#hosts[@]}" -eq 0 ] && [ -n "${SLURM_JOB_NODELIST:-}" ]; then
            while read -r name; do hosts+=("$name"); done < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
          fi
          if [ "${#hosts[@]}" -gt 0 ] && [ "${#hosts[@]}" -ne "$node_count" ]; then
            stop "the plan is for $node_count nodes, found ${#hosts[@]} hosts: ${hosts[*]}"
          fi
        }

        # Whether two names mean one host: equal but for case, or one of them short and the other's first part.
        same_host() {
          local left="${1,,}" right="${2,,}"
          [ "$left" = "$right" ] || [ "$left" = "${right%%.*}" ] || [ "${left%%.*}" = "$right" ]
        }

        # The names of this host, the first for people: Kubernetes' or Slurm's for it, its own, its addresses.
        read_own_names() {
          own_names=()
          if [ -n "${LAUNCH_NODE:-}" ]; then
            own_names=("$LAUNCH_NODE")
            return
          fi
          own_names=($(hostname 2>/dev/null || uname -n) ${SLURMD_NODENAME:-} $(hostname -I 2>/dev/null))
        }

        # Whether this host, by any of its names, is the one named.
        is_here() {
          local name
          for name in "${own_names[@]}"; do
            if same_host "$name" "$1"; then return 0; fi
          done
          return 1
        }

        # Where rank 0 listens, into master.
        find_master() {
          master="${LAUNCH_MASTER_ADDR:-${MASTER_ADDR:-}}"
          if [ -z "$master" ]; then
            if [ "$node_count" -eq 1 ]; then master=127.0.0.1; else master="${hosts[0]:-}"; fi
          fi
          [ -n "$master" ] || stop "settings.sh: MASTER_ADDR is empty, and no hosts are known: fill in one of them"
        }

        """#)
  }
}
