import Documents
import Foundation
import Testing

/// `sextant profile links` as it is started by launchers.
@Suite(.serialized) struct LinksCommandTests {
  private static let quick = "--message-bytes 16384,65536 --streams 1 --slot 0.02 --samples 3 --join-timeout 20"

  private static let hasMPIRun = FileManager.default.isExecutableFile(atPath: "/usr/bin/mpirun")

  @Test(.enabled(if: hasMPIRun, "mpirun is not installed"))
  func underOpenMPINothingHasToBeSaid() async throws {
    let folder = try Workspace()
    let run = try await folder.shell(
      """
      export HOME='\(folder.path)' OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
      mpirun --oversubscribe -np 4 '\(Workspace.executable)' profile links \(Self.quick) --output links.json
      """)
    #expect(run.exitCode == 0, "\(run.errors)")
    let links = try MeasuredLinks(contentsOf: folder.file("links.json"))
    #expect(links.nodeNames.map { $0.split(separator: "#").last } == ["0", "1", "2", "3"])
    for from in 0..<4 {
      for to in 0..<4 where from != to { #expect(links.snapshots[0].bytesPerSecond[from][to] != nil) }
    }
    #expect(links.inside.count == 4)
    // The token does not stay.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file(".sextant")).isEmpty)
  }

  /// A stand-in for ssh that runs the command here, as a shell on the host would.
  @Test func overSSHTheTokenComesOnStandardInput() async throws {
    let folder = try Workspace()
    try folder.write(
      "#!/bin/sh\nhost=$1\nshift\n[ $host = bad ] && { echo no such host >&2; exit 255; }\nexec sh -c \"$*\"\n",
      to: "ssh")
    try await folder.shell("chmod +x ssh").succeeded()
    let run = try await folder.sextant(
      "profile", "links", "--hosts", "node-[1-3]", "--ssh", "./ssh", "--interface", "127.0.0.1", "--message-bytes",
      "16384", "--streams", "1", "--slot", "0.02", "--samples", "3", "--output", "links.json")
    run.succeeded()
    let links = try MeasuredLinks(contentsOf: folder.file("links.json"))
    #expect(links.nodeNames == ["node-1", "node-2", "node-3"])

    try folder.write("node-1 slots=8\nbad # this one\nnode-3\n", to: "hosts")
    let partial = try await folder.sextant(
      "profile", "links", "--host-file", "hosts", "--ssh", "./ssh", "--interface", "127.0.0.1", "--message-bytes",
      "16384", "--streams", "1", "--slot", "0.02", "--samples", "3", "--output", "partial.json")
    #expect(partial.exitCode == 4)
    #expect(partial.errors.contains("bad its launch ended with exit code 255: no such host"), "\(partial.errors)")
    // What is there is measured, and resuming adds what is missing.
    let resumed = try await folder.sextant(
      "profile", "links", "--hosts", "node-1,node-3,node-4", "--ssh", "./ssh", "--interface", "127.0.0.1",
      "--message-bytes", "16384", "--streams", "1", "--slot", "0.02", "--samples", "3", "--resume", "partial.json",
      "--output", "whole.json")
    resumed.succeeded()
    let before = try MeasuredLinks(contentsOf: folder.file("partial.json"))
    let after = try MeasuredLinks(contentsOf: folder.file("whole.json"))
    #expect(before.nodeNames == ["node-1", "bad", "node-3"])
    #expect(after.nodeNames == ["node-1", "node-3", "node-4"])
    #expect(after.snapshots[0].bytesPerSecond[0][1] == before.snapshots[0].bytesPerSecond[0][2])
    #expect(after.snapshots[0].bytesPerSecond[2][0] != nil)
  }

  @Test func ctrlCWritesWhatThereIs() async throws {
    let folder = try Workspace()
    try folder.write("#!/bin/sh\nshift\nexec sh -c \"$*\"\n", to: "ssh")
    try await folder.shell("chmod +x ssh").succeeded()
    let run = try await folder.sextant(
      [
        "profile", "links", "--hosts", "node-[1-5]", "--ssh", "./ssh", "--interface", "127.0.0.1", "--message-bytes",
        "16384", "--streams", "1", "--slot", "1", "--no-loopback", "--output", "links.json",
      ], interruptedAfter: 9)
    #expect(run.exitCode == 130, "\(run.errors)")
    let links = try MeasuredLinks(contentsOf: folder.file("links.json"))
    let rates = links.snapshots[0].bytesPerSecond.flatMap { $0.compactMap(\.self) }
    #expect((1..<20).contains(rates.count), "\(rates.count)")
  }

  /// A stand-in for a launcher and for nccl-tests, whose rates follow from the hosts' names.
  @Test func ncclTestsAreDrivenOverPairsAndTheGroup() async throws {
    let folder = try Workspace()
    try folder.write(Self.ncclStandIn, to: "launch")
    try await folder.shell("chmod +x launch").succeeded()
    let run = try await folder.sextant(
      "profile", "links", "--engine", "nccl-tests", "--hosts", "n[1-4]", "--launcher", "./launch {hosts} {ranks}",
      "--pair-test", "sendrecv_perf -b 1M", "--group-test", "all_reduce_perf -b 1M", "--output", "links.json")
    run.succeeded()
    let links = try MeasuredLinks(contentsOf: folder.file("links.json"))
    #expect(links.nodeNames == ["n1", "n2", "n3", "n4"])
    for from in 1...4 {
      for to in 1...4 where from != to {
        let rate = try #require(links.snapshots[0].bytesPerSecond[from - 1][to - 1])
        #expect(abs(rate / (Double(from + to) * 1e9) - 1) < 0.01, "\(from) \(to): \(rate)")
      }
    }
    #expect(links.collectives.contains { $0.kind == .allReduce && $0.rankCount == 4 })

    let partial = try await folder.sextant(
      "profile", "links", "--engine", "nccl-tests", "--hosts", "n1,n2,broken", "--launcher", "./launch {hosts} {ranks}",
      "--pair-test", "sendrecv_perf -b 1M", "--output", "partial.json")
    #expect(partial.exitCode == 4)
    #expect(partial.errors.contains("2 of 3 runs gave no figure"), "\(partial.errors)")
  }

  /// Prints the table of nccl-tests 2.13 for `LAUNCH HOSTS RANKS PROGRAM ARGUMENTS`.
  private static let ncclStandIn = """
    #!/bin/sh
    case $1 in *broken*) echo "could not connect" >&2; exit 1;; esac
    sum=$(echo "$1" | tr -d n | awk -F, '{ s = 0; for (i = 1; i <= NF; i++) s += $i; print s }')
    echo "# nThread 1 nGpus 1 minBytes 1048576 maxBytes 4194304 step: 4(factor) warmup iters: 5 iters: 20 agg iters: 1"
    echo "# Using devices"
    rank=0
    for host in $(echo $1 | tr , ' '); do
      echo "#  Rank  $rank Group  0 Pid 1 on $host device  0 [0x07] NVIDIA H100"
      rank=$((rank + 1))
    done
    echo "#                                                              out-of-place                       in-place"
    echo "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong"
    echo "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)"
    for size in 1048576 4194304; do
      awk -v size=$size -v rate=$sum -v n=$2 -v program=$3 'BEGIN {
        factor = program ~ /all_reduce/ ? 2 * (n - 1) / n : 1
        us = size / (rate * 1e3)
        printf "%12d %13d %9s %7s %7d %8.3f %7.2f %7.2f %6d %8.3f %7.2f %7.2f %6d\\n", size, size / 4, "float", \\
          (factor > 1 ? "sum" : "none"), -1, us, rate, rate * factor, 0, us, rate, rate * factor, 0 }'
    done
    echo "# Out of bounds values : 0 OK"
    """

  @Test func whatMakesNoSenseIsRefusedInALine() async throws {
    let folder = try Workspace()
    try await folder.sextant("profile", "links").failed(64, "no launcher started this process")
    try await folder.sextant("profile", "links", "--rank", "1").failed(64, "--rank and --size go together")
    try await folder.sextant("profile", "links", "--rank", "4", "--size", "4").failed(64, "a rank is from 0 to 3")
    try await folder.sextant("profile", "links", "--rank", "0", "--size", "2").failed(64, "no token")
    try await folder.sextant("profile", "links", "--rank", "1", "--size", "2").failed(64, "no token")
    try await folder.sextant("profile", "links", "--hosts", "a,a").failed(64, "a host is twice")
    for more in [[], ["--engine", "nccl-tests"]] {
      try await folder.sextant(["profile", "links", "--hosts=a,-oProxyCommand=x"] + more)
        .failed(64, "whose name does not begin with -, found \"-oProxyCommand=x\"")
    }
    try await folder.sextant("profile", "links", "--streams", "4,1").failed(64, "stream counts are")
    try await folder.sextant("profile", "links", "--message-bytes", "many").failed(64, "expected numbers")
    try await folder.sextant("profile", "links", "--engine", "nccl-tests").failed(64, "needs the hosts")
    try await folder.sextant("profile", "links", "--hosts", "a,b", "--resume", "none.json").failed(65, "none.json")
    try folder.write("a-token-that-is-long-enough", to: "token")
    try await folder.shell("chmod 644 token").succeeded()
    try await folder.sextant(
      "profile", "links", "--rank", "0", "--size", "2", "--rendezvous", "127.0.0.1:0", "--token-file", "token"
    ).failed(65, "token: can be read by others")
    try await folder.sextant(
      "profile", "links", "--rank", "1", "--size", "2", "--rendezvous", "127.0.0.1:9", "--join-timeout", "0.3",
      "--token-file", "-"
    ).failed(65, "the run's token has 0 characters")
  }
}
