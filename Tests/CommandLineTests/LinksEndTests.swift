import Documents
import Foundation
import Testing

/// How runs of `profile links` end that do not come to their end.
@Suite(.serialized) struct LinksEndTests {
  private static let token = "SEXTANT_TOKEN=0123456789abcdef0123456789abcdef; export SEXTANT_TOKEN; "

  /// A run that waits for a node that never comes.
  private static let waiting =
    token + "exec '\(Workspace.executable)' profile links --rank 0 --size 2 --interface 127.0.0.1 "
    + "--rendezvous 127.0.0.1:0 --join-timeout 50 --output links.json"

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func aStopBeforeAnythingWasMeasuredLeavesTheOutputAsItWas(signal: CInt) async throws {
    let folder = try Workspace()
    try folder.write("last week's measurement\n", to: "links.json")
    try await folder.shell(Self.waiting) { process in
      wait(for: process, toHandle: signal)
      kill(process, signal)
    }.failed(130, "interrupted; nothing was measured, and nothing is written")
    #expect(try folder.text(of: "links.json") == "last week's measurement\n")
    #expect(try folder.names == ["links.json"])
  }

  /// Five rounds of two seconds: by then there are some links, and not all.
  @Test func aTerminalThatClosesLosesNothingThatWasMeasured() async throws {
    let folder = try Workspace()
    try folder.write("#!/bin/sh\nshift\nexec sh -c \"$*\"\n", to: "ssh")
    try await folder.shell("chmod +x ssh").succeeded()
    let run = try await folder.shell(
      "exec '\(Workspace.executable)' profile links --hosts node-[1-5] --ssh ./ssh --interface 127.0.0.1 "
        + "--message-bytes 16384 --streams 1 --slot 1 --no-loopback --output links.json"
    ) { process in
      sleep(6)
      kill(process, SIGHUP)
    }
    #expect(
      run.exitCode == 130 && run.errors == "sextant: interrupted; what was measured is written\n", "\(run.errors)")
    let links = try MeasuredLinks(contentsOf: folder.file("links.json"))
    #expect(links.nodeNames == (1...5).map { "node-\($0)" } && links.snapshots[0].gaps.isEmpty)
    let rates = links.snapshots[0].bytesPerSecond.flatMap { $0.compactMap(\.self) }
    #expect((1..<20).contains(rates.count), "\(rates.count)")
  }

  @Test func norDoesItChangeWhatIsResumed() async throws {
    let folder = try Workspace()
    let unknown: [[Double?]] = [[nil, 1e9], [nil, nil]]
    let links = MeasuredLinks(
      name: "measured", engine: "tcp", source: "test", nodeNames: ["gpu01", "gpu02"],
      origins: [.init(engine: "tcp", source: "test", trust: .loaded, note: "")],
      snapshots: [
        .init(name: "loaded", load: .loaded, bytesPerSecond: unknown)
      ], inside: [], collectives: [])
    try folder.write(links.json, to: "links.json")
    let before = try folder.text(of: "links.json")
    try await folder.shell(Self.waiting + " --resume links.json") { process in
      wait(for: process, toHandle: SIGTERM)
      kill(process, SIGTERM)
    }.failed(130, "nothing is written")
    #expect(try folder.text(of: "links.json") == before)
  }

  /// The connection of a process that was stopped stands: only its silence tells.
  @Test func whoseRankZeroIsStoppedEnds() async throws {
    let folder = try Workspace()
    let run = try await folder.shell(
      Self.token + """
        links() {
          rank=$1; shift
          exec '\(Workspace.executable)' profile links --rank $rank --size 3 --rendezvous 127.0.0.1:$port \
            --stall-timeout 0.5 --join-timeout "$@"
        }
        port=$((20000 + $$ % 10000))
        links 0 50 & first=$!
        links 1 10 2> rank-1 & second=$!
        sleep 2
        kill -STOP $first
        wait $second; echo $?
        kill -KILL $first
        """)
    #expect(run.output == "1\n", "\(run.errors)")
    #expect(try folder.text(of: "rank-1").contains("coordinator"))
  }

  /// As ssh does where connections are shared: the process that stays behind holds the standard error, and nothing else.
  @Test func aLaunchThatFailsIsToldWhoeverHoldsItsErrors() async throws {
    let folder = try Workspace()
    try folder.write(
      """
      #!/bin/bash
      (for other in 0 1 {3..99}; do eval "exec $other>&-"; done; exec sleep 30) &
      exit 255
      """, to: "ssh")
    try await folder.shell("chmod +x ssh").succeeded()
    let run = try await folder.sextant(
      "profile", "links", "--hosts", "a,b", "--ssh", "./ssh", "--interface", "127.0.0.1", "--join-timeout", "10")
    run.failed(1, "a its launch ended with exit code 255")
  }
}
