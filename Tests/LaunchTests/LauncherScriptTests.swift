import Documents
import Foundation
import TestSupport
import Testing

@testable import Launch

/// Every launcher's scripts, really run, start every rank with exactly the plan's words.
@Suite struct LauncherScriptTests {
  /// What every rank of the plan must be started with.
  private static func expected(_ run: ScriptRun, data: String, master: String) -> [ScriptRun.Rank] {
    (0..<4).map { rank in
      ScriptRun.Rank(
        rank: "\(rank)", localRank: "\(rank % 2)", worldSize: "4", master: master, port: "29500", folder: run.launch,
        environment: "a'b $cfrom the user",
        words: ShowingTarget.awkward + [
          data, "--tokenizer=it's $5", "", "\(run.launch)/some arguments.txt", "--one", "with space $X", "", "'last'",
          "--stage", "number \(rank / 2)",
        ])
    }
  }

  private static let data = "/data/a b'c\"d$e`f\ng\\"

  private static func folder(
    by launcher: JobLauncher, plan: Plan? = nil, hosts: HostList? = nil
  ) throws -> ScriptRun {
    let run = try ScriptRun(
      LaunchFolders.folder(plan ?? LaunchFolders.namedPlan(), by: launcher, hosts: hosts).files)
    try run.set([("DATA_PATH", data)], appending: "export FROM_USER='from the user'\n")
    return run
  }

  @Test(arguments: JobLauncher.allCases)
  func everyScriptParses(launcher: JobLauncher) async throws {
    for plan in [try LaunchFolders.namedPlan(), try LaunchFolders.countedPlan()] {
      let folder = try LaunchFolders.folder(plan, by: launcher)
      let run = try ScriptRun(folder.files + [LaunchFile(name: "check.sh", text: "bash -n \"${0%/*}/$1\"")])
      for file in folder.files where file.name.hasSuffix("sh") || file.name.hasSuffix(".sbatch") {
        let ending = try await run.run("check.sh", [file.name])
        #expect(ending.exitCode == 0 && ending.errors.isEmpty, "\(file.name): \(ending.errors)")
      }
    }
  }

  @Test func torchrunFindsTheNodeByItsNameAndNotByItsOrderAsText() async throws {
    let run = try Self.folder(by: .torchrun)
    for host in ["node7", "NODE66.cluster.example"] {
      let ending = try await run.run("torchrun.sh", on: host)
      #expect(ending.exitCode == 0, "\(ending.errors)")
      #expect(ending.output.contains("rank \(host == "node7" ? "2 on node7" : "0 on node66") device 0\n"))
    }
    #expect(try run.ranks() == Self.expected(run, data: Self.data, master: "node66"))
    let words = try #require(try run.record("torchrun-0"))
    #expect(
      words == [
        "--nnodes=2", "--nproc-per-node=2", "--rdzv-backend=static", "--node-rank=0", "--master-addr=node66",
        "--master-port=29500", "--no-python", "\(run.launch)/rank.sh",
      ])
    let other = try await run.run("torchrun.sh", on: "node6")
    #expect(
      other.exitCode == 1 && other.errors == "torchrun.sh: this host (node6) is not one of the plan's: node66 node7\n")
  }

  @Test func slurmLaysRanksOutInThePlansOrder() async throws {
    let run = try Self.folder(by: .slurm)
    let text = try String(contentsOfFile: "\(run.launch)/settings.sh", encoding: .utf8)
    try run.replace("settings.sh", with: text.replacing("SBATCH_OPTIONS=()", with: "SBATCH_OPTIONS=(--account='a b')"))
    let ending = try await run.run("submit.sh", ["--time=1"], environment: ["SLURM_JOB_NODELIST": "node7,node66"])
    #expect(ending.exitCode == 0, "\(ending.errors)")
    #expect(try run.ranks() == Self.expected(run, data: Self.data, master: "node66"))
    #expect(
      try run.record("sbatch") == [
        "--chdir=\(run.launch)", "--account=a b", "--time=1", "\(run.launch)/slurm.sbatch",
      ])
    #expect(try run.record("srun")?.contains("--distribution=arbitrary") == true)
    #expect(
      Set(ending.output.split(separator: "\n"))
        == [
          "rank 0 on node66 device 0", "rank 1 on node66 device 1",
          "rank 2 on node7 device 0", "rank 3 on node7 device 1",
        ])
    // Nothing is left behind where the job ran.
    #expect(try !FileManager.default.contentsOfDirectory(atPath: run.root).contains { $0.hasPrefix("tmp.") })
  }

  /// What every target writes starts, with what shells trip over in the settings that must be filled in.
  @Test(arguments: LaunchTargets.all.map { $0.name })
  func everyTargetStarts(name: String) async throws {
    let target = try #require(LaunchTargets.named(name))
    let cluster = try LaunchFolders.cluster(["node7"])
    let plans = try [1, 0, 2, 3].map { stage in
      try LaunchFolders.plan(
        cluster, pattern: "tensor=1,data=2,pipeline=1,zero_stage=\(stage)", model: "llama-3-8b")
    }
    let plan = try #require(plans.first { target.refusal(of: $0) == nil })
    let folder = try LaunchFolder(of: plan, for: target, by: .torchrun, on: HostAssignment(plan, list: nil))
    let run = try ScriptRun(folder.files)
    try run.set(folder.requiredSettings.map { ($0, Self.data) })
    let ending = try await run.run("torchrun.sh", on: "node7")
    #expect(ending.exitCode == 0, "\(ending.errors)")
    let ranks = try run.ranks()
    #expect(ranks.map(\.rank) == ["0", "1"])
    for rank in ranks {
      for setting in folder.requiredSettings {
        #expect(rank.words.contains { $0.hasSuffix(Self.data) }, "\(setting): \(rank.words)")
      }
    }
  }

  @Test func aHostThatIsNotAllocatedEndsTheJob() async throws {
    let run = try Self.folder(by: .slurm)
    let ending = try await run.run("submit.sh", environment: ["SLURM_JOB_NODELIST": "node7,node5"])
    #expect(ending.exitCode == 1)
    #expect(ending.errors == "slurm_script: the plan needs node66, the allocation has node7 node5\n")
    #expect(try run.ranks().isEmpty)
  }

  @Test func mpirunGetsARankfile() async throws {
    let run = try Self.folder(by: .mpirun)
    let ending = try await run.run("mpirun.sh")
    #expect(ending.exitCode == 0, "\(ending.errors)")
    #expect(try run.ranks() == Self.expected(run, data: Self.data, master: "node66"))
    let rankfile = try String(contentsOfFile: "\(run.launch)/rankfile", encoding: .utf8)
    #expect(
      rankfile
        == "rank 0=node66 slot=0\nrank 1=node66 slot=1\nrank 2=node7 slot=0\nrank 3=node7 slot=1\n")
    #expect(try String(contentsOfFile: "\(run.launch)/hosts", encoding: .utf8) == "node66 slots=2\nnode7 slots=2\n")
  }

  @Test func sshStartsEveryHost() async throws {
    let run = try Self.folder(by: .ssh)
    let ending = try await run.run("ssh.sh")
    #expect(ending.exitCode == 0, "\(ending.errors)")
    #expect(try run.ranks() == Self.expected(run, data: Self.data, master: "node66"))
    #expect(try run.record("ssh-node66")?.prefix(4) == ["-o", "BatchMode=yes", "-o", "ServerAliveInterval=30"])
  }

  @Test func whenOneHostFailsSSHStopsTheOthers() async throws {
    let run = try Self.folder(by: .ssh)
    try run.set([], appending: "if [ \"$FAKE_HOST\" = node7 ] && [ -n \"$RANK\" ]; then sleep 1; exit 7; fi\n")
    let ending = try await run.run("ssh.sh", environment: ["SLOW": "50"])
    #expect(ending.exitCode == 7)
    #expect(ending.errors.contains("ssh.sh: node7 (node 1) ended with exit code 7\n"))
    #expect(ending.errors.contains("ssh.sh: node66 (node 0) ended with exit code 143\n"))
  }

  @Test func sshPassesSignalsOn() async throws {
    let run = try Self.folder(by: .ssh)
    let ending = try await run.run("ssh.sh", environment: ["SLOW": "50"], terminatedAtRankCount: 4)
    #expect(ending.exitCode == 143, "\(ending.errors)")
    #expect(try run.ranks().count == 4)
    #expect(
      try String(contentsOfFile: "\(run.root)/records/signals-torchrun", encoding: .utf8) == "TERM\nTERM\n")
  }

  @Test func aRankOnTheWrongHostStopsTheJob() async throws {
    let run = try Self.folder(by: .slurm)
    let ending = try await run.run(
      "submit.sh", environment: ["SLURM_JOB_NODELIST": "node7,node66", "MISPLACED": "3", "SLOW": "50"])
    #expect(ending.exitCode == 1)
    #expect(
      ending.errors.contains(
        "rank.sh: rank 3 is on elsewhere.cluster.example device 1, but the plan has it on node7 device 1\n"))
  }

  /// Where both ranks are wrong, the first to complain ends the other.
  @Test(arguments: [
    (
      "1,0",
      [
        "rank.sh: rank 0 is on node66 device 1, but the plan has it on node66 device 0\n",
        "rank.sh: rank 1 is on node66 device 0, but the plan has it on node66 device 1\n",
      ]
    ),
    ("4", ["rank.sh: rank 1 is number 1 on node66 but sees 1 devices (4): let every rank see all\n"]),
    ("6,7", []), ("GPU-1,GPU-2", []),
  ])
  func devicesAreComparedInOrder(visible: String, complaints: [String]) async throws {
    let run = try Self.folder(by: .torchrun)
    let ending = try await run.run("torchrun.sh", on: "node66", environment: ["CUDA_VISIBLE_DEVICES": visible])
    #expect((ending.exitCode == 0) == complaints.isEmpty, "\(ending.errors)")
    #expect(complaints.isEmpty || complaints.contains { ending.errors.contains($0) }, "\(ending.errors)")
  }

  @Test(arguments: JobLauncher.allCases)
  func nothingStartsBeforeSettingsAreFilledIn(launcher: JobLauncher) async throws {
    let folder = try LaunchFolders.folder(LaunchFolders.namedPlan(), by: launcher)
    let run = try ScriptRun(folder.files)
    let script = try #require(
      ["submit.sh", "ssh.sh", "mpirun.sh", "kubernetes.sh", "torchrun.sh"].first { name in
        folder.files.contains { $0.name == name }
      })
    let ending = try await run.run(script, on: "node7")
    #expect(ending.exitCode == 1)
    #expect(ending.errors == "\(script): settings.sh: DATA_PATH is empty: fill it in\n")
    #expect(folder.requiredSettings == ["DATA_PATH"])
  }

  @Test(arguments: [
    (["RANK": "4", "LOCAL_RANK": "0"], "the plan has 4 ranks, and no rank 4"),
    (["RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8"], "the launcher started 8 ranks, the plan has 4"),
    (["SLURM_PROCID": "x", "SLURM_LOCALID": "0"], "expected numbers for rank and local rank, found x and 0"),
    (["SLURM_PROCID": "1"], "the launcher does not say which rank of its node rank 1 is"),
    (
      [:],
      "no launcher says which rank this is: neither RANK and LOCAL_RANK, nor OMPI_COMM_WORLD_RANK, nor SLURM_PROCID"
    ),
  ])
  func whatNoLauncherSaysIsALine(environment: [String: String], complaint: String) async throws {
    let run = try Self.folder(by: .torchrun)
    let ending = try await run.run("rank.sh", on: "node66", environment: environment)
    #expect(ending.exitCode == 1 && ending.errors == "rank.sh: \(complaint)\n", "\(ending.errors)")
  }
}
