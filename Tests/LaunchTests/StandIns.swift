/// Programs in place of those of a cluster, as bash scripts.
enum StandIns {
  static let all: [(name: String, text: String)] = [
    ("python", program), ("python3", program), ("hostname", hostname), ("scontrol", scontrol), ("torchrun", torchrun),
    ("srun", srun),
    ("sbatch", sbatch), ("mpirun", mpirun), ("ssh", ssh), ("kubectl", kubectl),
  ]

  /// Starts ranks as background jobs, and ends the rest when one fails or a signal comes, as launchers do: by SIGKILL, since
  /// what a test starts inherits that others are blocked.
  private static let jobs = #"""
    jobs=()
    trap 'kill -KILL "${jobs[@]}" 2>/dev/null; echo TERM >>"$RECORDS/signals-${0##*/}"; exit 143' TERM
    finish() {
      local job status alive
      while [ "${#jobs[@]}" -gt 0 ]; do
        alive=()
        for job in "${jobs[@]}"; do
          if kill -0 "$job" 2>/dev/null; then
            alive+=("$job")
            continue
          fi
          wait "$job"
          status=$?
          if [ "$status" -ne 0 ]; then
            kill -KILL "${jobs[@]}" 2>/dev/null
            exit "$status"
          fi
        done
        jobs=("${alive[@]}")
        sleep 0.05
      done
    }

    """#

  private static let program = #"""
    #!/usr/bin/env bash
    printf '%s\0' "$RANK" "$LOCAL_RANK" "$WORLD_SIZE" "$MASTER_ADDR" "$MASTER_PORT" "$PWD" "$FROM_TARGET$FROM_USER" "$@" \
      >"$RECORDS/rank-$RANK"
    if [ -n "${SLOW:-}" ]; then exec sleep "$SLOW"; fi

    """#

  private static let hostname = #"""
    #!/usr/bin/env bash
    case "${1:-}" in -I) echo "${FAKE_ADDRESSES:-}" ;; *) echo "$FAKE_HOST" ;; esac

    """#

  private static let scontrol = #"""
    #!/usr/bin/env bash
    [ "$1 $2" = "show hostnames" ] || exit 1
    tr , '\n' <<<"$3"

    """#

  private static let torchrun =
    #"""
    #!/usr/bin/env bash
    count=0 nodes=0 node=0 master="" port=""
    arguments=("$@")
    while [ "$#" -gt 0 ]; do
      case "$1" in
        --nnodes=*) nodes="${1#*=}" ;;
        --nproc-per-node=*) count="${1#*=}" ;;
        --node-rank=*) node="${1#*=}" ;;
        --master-addr=*) master="${1#*=}" ;;
        --master-port=*) port="${1#*=}" ;;
        --no-python) shift; break ;;
      esac
      shift
    done
    printf '%s\0' "${arguments[@]}" >"$RECORDS/torchrun-$node"

    """# + jobs + #"""
      for ((index = 0; index < count; index++)); do
        RANK=$((node * count + index)) LOCAL_RANK="$index" WORLD_SIZE=$((nodes * count)) MASTER_ADDR="$master" \
          MASTER_PORT="$port" TORCHELASTIC_RUN_ID=none "$@" &
        jobs+=("$!")
      done
      finish

      """#

  private static let srun =
    #"""
    #!/usr/bin/env bash
    printf '%s\0' "$@" >"$RECORDS/srun"
    count=0 distribution=block per_node=1
    while [[ "$1" == --* ]]; do
      case "$1" in
        --ntasks=*) count="${1#*=}" ;;
        --ntasks-per-node=*) per_node="${1#*=}" ;;
        --distribution=*) distribution="${1#*=}" ;;
      esac
      shift
    done
    if [ "$distribution" = arbitrary ]; then
      mapfile -t hosts <"$SLURM_HOSTFILE"
    else
      hosts=()
      for host in ${SLURM_JOB_NODELIST//,/ }; do
        for ((index = 0; index < per_node; index++)); do hosts+=("$host"); done
      done
    fi

    """# + jobs + #"""
      declare -A used=()
      for ((task = 0; task < count; task++)); do
        host="${hosts[task]}"
        real="$host"
        if [ "$task" = "${MISPLACED:-}" ]; then real=elsewhere; fi
        SLURM_PROCID="$task" SLURM_LOCALID="${used[$host]:-0}" SLURM_NTASKS="$count" SLURMD_NODENAME="$real" \
          FAKE_HOST="$real.cluster.example" "$@" &
        jobs+=("$!")
        used[$host]=$((${used[$host]:-0} + 1))
      done
      finish

      """#

  /// Runs a copy of the script from elsewhere, in the working directory that was asked for.
  private static let sbatch = #"""
    #!/usr/bin/env bash
    printf '%s\0' "$@" >"$RECORDS/sbatch"
    while [[ "$1" == --* ]]; do
      case "$1" in --chdir=*) cd -- "${1#*=}" || exit 1 ;; esac
      shift
    done
    cp -- "$1" "$TMPDIR/slurm_script"
    exec bash "$TMPDIR/slurm_script"

    """#

  private static let mpirun =
    #"""
    #!/usr/bin/env bash
    printf '%s\0' "$@" >"$RECORDS/mpirun"
    while [[ "$1" == -* ]]; do
      case "$1" in
        -np) count="$2" ;;
        --hostfile) cp -- "$2" "$RECORDS/hostfile" ;;
        --rankfile) cp -- "$2" "$RECORDS/rankfile" ;;
      esac
      shift 2
    done

    """# + jobs + #"""
      declare -A used=()
      while read -r _ assignment slot; do
        rank="${assignment%%=*}" host="${assignment#*=}"
        OMPI_COMM_WORLD_RANK="$rank" OMPI_COMM_WORLD_LOCAL_RANK="${used[$host]:-0}" OMPI_COMM_WORLD_SIZE="$count" \
          SLURM_PROCID=0 FAKE_HOST="$host" "$@" &
        jobs+=("$!")
        used[$host]=$((${used[$host]:-0} + 1))
      done <"$RECORDS/rankfile"
      finish

      """#

  /// As sshd does, hands one text to the other side's shell, which ignores no signals.
  private static let ssh = #"""
    #!/usr/bin/env bash
    arguments=("$@")
    while [ "$1" != -- ]; do shift; done
    printf '%s\0' "${arguments[@]}" >"$RECORDS/ssh-$2"
    exec env --default-signal=INT,TERM FAKE_HOST="$2" sh -c "$3"

    """#

  private static let kubectl = #"""
    #!/usr/bin/env bash
    case "$*" in
      *create*) printf '%s\0' "$@" >"$RECORDS/kubectl-create"; echo 'kind: ConfigMap' ;;
      *) text="$(cat)"; printf '%s\0' "$@" "$text" >>"$RECORDS/kubectl-apply" ;;
    esac

    """#
}
