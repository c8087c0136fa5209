import Documents
import TestSupport
import Testing

@testable import Launch

/// Clusters whose nodes are only counted: hosts are known at launch.
@Suite struct UnnamedHostTests {
  private static func folder(by launcher: JobLauncher) throws -> ScriptRun {
    let run = try ScriptRun(LaunchFolders.folder(LaunchFolders.countedPlan(), by: launcher).files)
    try run.set([("DATA_PATH", "/data")])
    return run
  }

  private static func places(_ run: ScriptRun) throws -> [String] {
    try run.ranks().map { "\($0.rank) \($0.localRank) \($0.master)" }
  }

  @Test func slurmTakesTheAllocationInItsOrder() async throws {
    let run = try Self.folder(by: .slurm)
    let ending = try await run.run("submit.sh", environment: ["SLURM_JOB_NODELIST": "b1,a2"])
    #expect(ending.exitCode == 0, "\(ending.errors)")
    #expect(try Self.places(run) == ["0 0 b1", "1 1 b1", "2 0 b1", "3 1 b1"])
    #expect(try run.record("srun")?.contains("--distribution=block") == true)
    #expect(ending.output.contains("rank 2 on a2 device 0\n"))
  }

  @Test func torchrunIsToldTheNode() async throws {
    let run = try Self.folder(by: .torchrun)
    let without = try await run.run("torchrun.sh")
    #expect(
      without.exitCode == 1
        && without.errors
          == "torchrun.sh: no hosts are known: fill in hosts, or say which of the 2 nodes this is: torchrun.sh NODE\n"
    )
    let masterless = try await run.run("torchrun.sh", ["1"])
    #expect(masterless.errors.contains("settings.sh: MASTER_ADDR is empty, and no hosts are known"))
    try run.set([("MASTER_ADDR", "10.0.0.1")])
    for node in ["0", "1"] {
      let ending = try await run.run("torchrun.sh", [node], on: "any\(node)")
      #expect(ending.exitCode == 0, "\(ending.errors)")
    }
    #expect(try Self.places(run) == (0..<4).map { "\($0) \($0 % 2) 10.0.0.1" })
    let beyond = try await run.run("torchrun.sh", ["2"])
    #expect(beyond.errors == "torchrun.sh: the plan has 2 nodes, and no node 2\n")
  }

  @Test(arguments: [JobLauncher.torchrun, .mpirun, .ssh])
  func hostsMayBeFilledIn(launcher: JobLauncher) async throws {
    let run = try Self.folder(by: launcher)
    try run.replace("hosts", with: "# ours\n\n10.0.0.2 slots=2\nb7 slots=2")
    switch launcher {
    case .torchrun:
      _ = try await run.run("torchrun.sh", on: "x", environment: ["FAKE_ADDRESSES": "192.168.0.1 10.0.0.2"])
      _ = try await run.run("torchrun.sh", on: "b7.example")
    case .mpirun: #expect(try await run.run("mpirun.sh").exitCode == 0)
    default: #expect(try await run.run("ssh.sh").exitCode == 0)
    }
    #expect(try Self.places(run) == (0..<4).map { "\($0) \($0 % 2) 10.0.0.2" })
    try run.replace("hosts", with: "b7 slots=2\n")
    let ending = try await run.run(launcher == .torchrun ? "torchrun.sh" : "\(launcher.rawValue).sh")
    #expect(ending.exitCode == 1 && ending.errors.contains("the plan is for 2 nodes, found 1 hosts: b7"))
  }

  @Test(arguments: [JobLauncher.mpirun, .ssh])
  func withoutHostsALineSaysSo(launcher: JobLauncher) async throws {
    let run = try Self.folder(by: launcher)
    let ending = try await run.run("\(launcher.rawValue).sh")
    #expect(ending.exitCode == 1 && ending.errors.contains("no hosts are known: name 2 of them in \(run.launch)/hosts"))
  }
}
