/// `kubernetes.sh`: a JobSet whose pods run `torchrun.sh`, a pod a node.
///
/// Of named hosts, the first is a replicated job of its own, so that rank 0 has a DNS name that is known beforehand
/// (`<jobset>-<job>-<job index>-<pod index>.<jobset>`; JobSet `api/jobset/v1alpha2/jobset_types.go`, main 08dfbdfd); the
/// others are one more, bound to the plan's hosts by node affinity. A pod finds its node's number by the node's name, so
/// it does not matter which of them gets which index. Of hosts without names, the index is the number.
enum KubernetesScript {
  static func settings(of job: LaunchJob) -> [LauncherSetting] {
    [
      LauncherSetting(
        name: "JOB_NAME", value: .word(job.name), comment: "Name of the JobSet: lower-case letters, digits, hyphens."),
      LauncherSetting(name: "NAMESPACE", value: .word("default"), comment: "Namespace of Kubernetes."),
      LauncherSetting(
        name: "IMAGE", value: .word(""), comment: "Image of the container, which has bash, PyTorch and the framework."),
      LauncherSetting(
        name: "VOLUME_CLAIM", value: .word(""),
        comment: "A persistent volume claim that pods see at MOUNT_PATH: data, code, checkpoints. May stay empty."),
      LauncherSetting(name: "MOUNT_PATH", value: .word("/data"), comment: "Where pods see the volume."),
      LauncherSetting(
        name: "DEVICE_RESOURCE", value: .word(job.deviceResource),
        comment: "The resource that a device is to Kubernetes."),
      LauncherSetting(name: "KUBECTL_OPTIONS", value: .words, comment: "More options of kubectl, a word each."),
    ]
  }

  static func file(of job: LaunchJob) -> LaunchFile {
    let jobs: [(name: String, count: Int, hosts: [String])] =
      if let hosts = job.hosts {
        [("first", 1, Array(hosts.prefix(1))), ("others", job.nodeCount - 1, Array(hosts.dropFirst()))]
      } else {
        [("nodes", job.nodeCount, [])]
      }
    let calls = jobs.filter { $0.count > 0 }.map { one in
      "  replicated_job \(one.name) \(one.count)\(one.hosts.map { " \($0)" }.joined())\n"
    }
    let master = job.hosts != nil ? "first" : "nodes"
    return LaunchFile(
      name: "kubernetes.sh", text: script(calls: calls.joined(), master: master), isExecutable: true)
  }

  private static func script(calls: String, master: String) -> String {
    #"""
    #!/usr/bin/env bash
    # Gives this folder to Kubernetes as a ConfigMap, and starts a JobSet. With the argument print, prints the JobSet only.

    """# + SharedScript.opening + #"""

      load_settings
      [ -n "$IMAGE" ] || stop "settings.sh: IMAGE is empty: fill it in"

      # A text as a string of JSON, which YAML takes too.
      json() {
        local text="$1"
        text="${text//\\/\\\\}"
        text="${text//\"/\\\"}"
        text="${text//$'\n'/\\n}"
        text="${text//$'\t'/\\t}"
        printf '"%s"' "$text"
      }

      # replicated_job NAME PODS [HOST…]: pods on these hosts, no two on one.
      replicated_job() {
        local name="$1" pods="$2" node='""' host
        shift 2
        # Without hosts, the pod's index is the node's number.
        if [ "$#" -eq 0 ]; then node='"$JOB_COMPLETION_INDEX"'; fi
        cat <<YAML
        - name: $name
          replicas: 1
          template:
            spec:
              parallelism: $pods
              completions: $pods
              completionMode: Indexed
              backoffLimit: 0
              template:
                spec:
                  restartPolicy: Never
                  affinity:
                    podAntiAffinity:
                      requiredDuringSchedulingIgnoredDuringExecution:
                        - topologyKey: kubernetes.io/hostname
                          labelSelector:
                            matchLabels:
                              jobset.sigs.k8s.io/jobset-name: $(json "$JOB_NAME")
      YAML
        if [ "$#" -gt 0 ]; then
          cat <<YAML
                    nodeAffinity:
                      requiredDuringSchedulingIgnoredDuringExecution:
                        nodeSelectorTerms:
                          - matchExpressions:
                              - key: kubernetes.io/hostname
                                operator: In
                                values:
      YAML
          for host in "$@"; do echo "                            - $(json "$host")"; done
        fi
        cat <<YAML
                  containers:
                    - name: ranks
                      image: $(json "$IMAGE")
                      command: ["bash", "-c", $(json "exec bash /launch/torchrun.sh $node")]
                      env:
      YAML
        # Of named hosts, the node's own name tells which node of the plan this is.
        if [ "$#" -gt 0 ]; then
          cat <<YAML
                        - name: LAUNCH_NODE
                          valueFrom:
                            fieldRef:
                              fieldPath: spec.nodeName
      YAML
        fi
        cat <<YAML
                        - name: LAUNCH_MASTER_ADDR
                          value: $(json "$JOB_NAME-\#(master)-0-0.$JOB_NAME")
                      resources:
                        limits:
                          $(json "$DEVICE_RESOURCE"): $ranks_per_node
                      volumeMounts:
                        - {name: launch, mountPath: /launch}
                        - {name: shared-memory, mountPath: /dev/shm}
      YAML
        if [ -n "$VOLUME_CLAIM" ]; then echo "                  - {name: volume, mountPath: $(json "$MOUNT_PATH")}"; fi
        cat <<YAML
                  volumes:
                    - name: launch
                      configMap: {name: $(json "$JOB_NAME-launch"), defaultMode: 0555}
                    - name: shared-memory
                      emptyDir: {medium: Memory}
      YAML
        if [ -n "$VOLUME_CLAIM" ]; then
          echo "              - {name: volume, persistentVolumeClaim: {claimName: $(json "$VOLUME_CLAIM")}}"
        fi
      }

      jobset() {
        cat <<YAML
      apiVersion: jobset.x-k8s.io/v1alpha2
      kind: JobSet
      metadata:
        name: $(json "$JOB_NAME")
        namespace: $(json "$NAMESPACE")
      spec:
        replicatedJobs:
      YAML
      \#(calls)}

      if [ "${1:-}" = print ]; then
        jobset
        exit
      fi
      set -e -o pipefail
      from=()
      for file in *; do
        case "$file" in plan.json | README.md) ;; *) if [ -f "$file" ]; then from+=(--from-file="$file"); fi ;; esac
      done
      # On the server's side, since the client's note of what it applied is limited.
      kubectl "${KUBECTL_OPTIONS[@]}" --namespace="$NAMESPACE" create configmap "$JOB_NAME-launch" "${from[@]}" \
        --dry-run=client --output=yaml |
        kubectl "${KUBECTL_OPTIONS[@]}" apply --server-side --force-conflicts --filename=-
      jobset | kubectl "${KUBECTL_OPTIONS[@]}" apply --server-side --force-conflicts --filename=-

      """#
  }

  static func instructions(for job: LaunchJob) -> String {
    """
    `./kubernetes.sh` creates a ConfigMap of this folder and a JobSet (the JobSet controller must be installed); \
    `./kubernetes.sh print` shows the JobSet. \
    \(job.hosts != nil
      ? "Pods are bound to the plan's hosts by the label kubernetes.io/hostname."
      : "The index of a pod is the number of its node, on whichever host it comes to lie.")
    """
  }
}
