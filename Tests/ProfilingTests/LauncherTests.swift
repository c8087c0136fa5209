import Documents
import Foundation
import Testing

@testable import Profiling

/// Where a process stands, as launchers and files say it.
@Suite struct LauncherTests {
  @Test func slurmSaysItInItsEnvironment() throws {
    let environment = [
      "SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0", "SLURM_STEP_ID": "7", "SLURM_JOB_ID": "123",
      "SLURM_STEP_NODELIST": "gpu[01-03],login", "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
      "SLURM_TOPOLOGY_ADDR": "s0.s4.gpu03", "SLURM_TOPOLOGY_ADDR_PATTERN": "switch.switch.node",
    ]
    let launcher = try #require(try Launcher(environment: environment))
    #expect(launcher.rank == 2 && launcher.size == 4)
    #expect(launcher.hostNames == ["gpu01", "gpu02", "gpu03", "login"])
    #expect(launcher.runName == "slurm-123.7")
    #expect(launcher.block == "s0.s4")
    #expect(launcher.nodeName(hostName: "gpu03") == "gpu03")
    #expect(!launcher.isOnOneMachine)
  }

  @Test func outsideOfSrunAJobIsNoRun() {
    #expect(throws: LinkRunError.self) { try Launcher(environment: ["SLURM_PROCID": "0", "SLURM_NTASKS": "4"]) }
  }

  @Test func openMPIComesBeforeSlurm() throws {
    let launcher = try #require(
      try Launcher(environment: [
        "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_NAMESPACE": "3.1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1",
      ]))
    #expect(launcher.rank == 1 && launcher.size == 4 && launcher.isOnOneMachine)
    #expect(launcher.nodeName(hostName: "gpu") == "gpu#1")
    #expect(try Launcher(environment: ["HOME": "/root"]) == nil)
  }

  @Test(arguments: [
    ["OMPI_COMM_WORLD_RANK": "4", "OMPI_COMM_WORLD_SIZE": "4"], ["OMPI_COMM_WORLD_RANK": "0"],
    ["OMPI_COMM_WORLD_RANK": "x", "OMPI_COMM_WORLD_SIZE": "4"],
    ["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "0"],
    ["SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_NODELIST": "a[1-"],
  ])
  func nonsenseIsRefused(environment: [String: String]) {
    #expect(throws: LinkRunError.self) { try Launcher(environment: environment) }
  }

  @Test func addressesAreReadAsTheyAreWritten() throws {
    for text in ["node-0:29400", "10.0.0.1:1", "[fe80::1]:65535"] { #expect(try "\(Endpoint(text))" == text) }
    for text in ["", "node", "node:", ":1", "node:65536", "node:-1", "fe80::1:5", "no de:1"] {
      #expect(throws: LinkRunError.self, "\(text)") { try Endpoint(text) }
    }
  }

  /// ssh would take such a name for an option, of which some run commands.
  @Test func aHostDoesNotBeginWithAHyphen() throws {
    for list in ["-oProxyCommand=x", "a,-b", "-[1-2]"] {
      #expect(throws: LinkRunError.self, "\(list)") { try hosts(inList: list) }
    }
    #expect(try hosts(inList: "a-1,b-[1-2]") == ["a-1", "b-1", "b-2"])
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("sextant-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data("a slots=8\n  -b # an option\n".utf8).write(to: URL(fileURLWithPath: path))
    do throws(DocumentError) {
      _ = try hosts(inFile: path)
      Issue.record("it was taken")
    } catch {
      #expect(
        "\(error)" == "\(path): line 2: expected a host, whose name does not begin with -, found \"  -b # an option\"")
    }
  }

  @Test func aTokenThatDoesNotComeIsNotWaitedForLong() throws {
    let pipe = Pipe()
    let descriptor = pipe.fileHandleForReading.fileDescriptor
    #expect(throws: LinkRunError.badToken("did not come on standard input within 0.1 s")) {
      try RunToken.line(of: descriptor, withinSeconds: 0.1)
    }
    try pipe.fileHandleForWriting.write(contentsOf: Data("first line\nsecond".utf8))
    #expect(try RunToken.line(of: descriptor, withinSeconds: 60) == "first line")
    try pipe.fileHandleForWriting.close()
    // What ends without a line's end is a line.
    #expect(try RunToken.line(of: descriptor, withinSeconds: 60) == "second")
    #expect(try RunToken.line(of: descriptor, withinSeconds: 60) == "")
  }

  /// Every rank says at once what is missing, not only the one that the others wait for.
  @Test(arguments: [0, 1])
  func aRunWithoutATokenOrAPlaceToMeetDoesNotBegin(rank: Int) throws {
    func begin(_ rendezvous: Endpoint?, _ token: RunToken?) throws {
      let run = LinkRun(
        place: try Launcher(rank: rank, size: 2), nodeName: nil, rendezvous: rendezvous, token: token, runFile: nil,
        interface: nil, maximumBytesPerSecond: nil, joinSeconds: 90)
      if rank > 0 { return try run.takePart(isInterrupted: { false }) }
      let order = LinkCoordinator.Order(
        nodeCount: 2, settings: try LinkRunTests.settings(), isLoaded: true, measuresLoopback: false,
        sampledRoundCount: nil, joinSeconds: 90, expectedNames: [], known: [])
      _ = try run.conduct(order, isInterrupted: { false }, progress: { _, _ in })
    }
    let token = "no token: set SEXTANT_TOKEN on every node, or give --token-file"
    #expect(throws: LinkRunError.launcher(token)) { try begin(Endpoint(host: "127.0.0.1", port: 0), nil) }
    let meeting = "nothing says where rank 0 is: give --rendezvous HOST:PORT of rank 0, or --token-file"
    #expect(throws: LinkRunError.launcher(meeting)) { try begin(nil, .generated()) }
  }

  @Test func theRunFileIsForItsOwnerAlone() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("sextant-\(UUID().uuidString)").path
    let file = RunFile(path: path)
    defer { file.remove() }
    #expect(try file.read() == nil)
    let content = RunFile.Content(token: .generated(), rendezvous: Endpoint(host: "127.0.0.1", port: 5))
    try file.create(content)
    #expect(try file.read() == content)
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
    // Nobody's file is written over.
    #expect(throws: LinkRunError.self) { try file.create(content) }
    chmod(path, 0o640)
    #expect(throws: LinkRunError.file(path, "can be read by others; its mode has to be 0600")) { try file.read() }
  }
}
