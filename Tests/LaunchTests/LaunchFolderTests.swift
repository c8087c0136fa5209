import Documents
import JSONText
import TestSupport
import Testing
import Yams

@testable import Launch

@Suite struct LaunchFolderTests {
  @Test(arguments: JobLauncher.allCases)
  func aFolderHasWhatItsReadMeLists(launcher: JobLauncher) throws {
    let plan = try LaunchFolders.namedPlan()
    let folder = try LaunchFolders.folder(plan, by: launcher)
    let readMe = try #require(folder.files.first { $0.name == "README.md" }).text
    for file in folder.files where !["README.md", "plan.json"].contains(file.name) {
      #expect(readMe.contains("| `\(file.name)` | "), "\(file.name)")
    }
    #expect(readMe.contains("Nothing starts before these have values: DATA_PATH."))
    #expect(readMe.contains("- The program is the user's.\n"))
    #expect(folder.files.first { $0.name == "plan.json" }?.text == plan.json.text(style: .pretty))
    #expect(try folder == LaunchFolders.folder(plan, by: launcher))
  }

  @Test func thePlacementIsRankNodeDeviceAndStage() throws {
    let folder = try LaunchFolders.folder(LaunchFolders.namedPlan(), by: .torchrun)
    #expect(
      folder.files.first { $0.name == "placement.tsv" }?.text == """
        rank\tnode\tdevice\tstage
        0\tnode66\t0\t0
        1\tnode66\t1\t0
        2\tnode7\t0\t1
        3\tnode7\t1\t1

        """)
  }

  @Test func whatTheTargetCannotExpressIsRefusedWithTheNearest() throws {
    let sharded = try LaunchFolders.shardedPlan()
    let error = #expect(throws: LaunchRefusal.self) { try LaunchFolders.folder(sharded, by: .torchrun) }
    #expect(error?.description.contains("does not divide states as ZeRO 3; nearest: ") == true, "\(error as Any)")
  }

  @Test func settingsOfAnEarlierExportStay() throws {
    let folder = try LaunchFolders.folder(LaunchFolders.namedPlan(), by: .torchrun)
    let own = try #require(folder.files.first { $0.name == "settings.sh" }).text
    #expect(folder.files(over: nil) == folder.files && folder.files(over: own) == folder.files)
    let filled = own.replacing("DATA_PATH=''", with: "DATA_PATH='/data'")
    #expect(folder.files(over: filled).first { $0.name == "settings.sh" }?.text == filled)
    // Of another target, what was filled in is kept beside the new file.
    let other = "OTHER='1'\n"
    #expect(folder.files(over: other).first { $0.name == "settings.sh" }?.text == own)
    #expect(folder.files(over: other).first { $0.name == "settings.old.sh" }?.text == other)
  }

  @Test func aJobSetBindsPodsToThePlansHosts() async throws {
    let run = try ScriptRun(LaunchFolders.folder(LaunchFolders.namedPlan(), by: .kubernetes).files)
    try run.set([("DATA_PATH", "/data"), ("IMAGE", "registry/a:1\"\\"), ("VOLUME_CLAIM", "claim")])
    let printed = try await run.run("kubernetes.sh", ["print"])
    #expect(printed.exitCode == 0, "\(printed.errors)")
    let jobSet = try #require(try Yams.compose(yaml: printed.output))
    #expect(jobSet["apiVersion"] == "jobset.x-k8s.io/v1alpha2")
    let jobs = try #require(jobSet["spec"]?["replicatedJobs"]?.sequence)
    #expect(jobs.compactMap { $0["name"]?.string } == ["first", "others"])
    for (job, host) in zip(jobs, ["node66", "node7"]) {
      let spec = try #require(job["template"]?["spec"])
      #expect(spec["completions"]?.int == 1 && spec["backoffLimit"]?.int == 0)
      let pod = try #require(spec["template"]?["spec"])
      let terms = pod["affinity"]?["nodeAffinity"]?["requiredDuringSchedulingIgnoredDuringExecution"]
      #expect(terms?["nodeSelectorTerms"]?[0]?["matchExpressions"]?[0]?["values"]?.array() == [host])
      let container = try #require(pod["containers"]?[0])
      #expect(container["image"]?.string == "registry/a:1\"\\")
      #expect(container["resources"]?["limits"]?["nvidia.com/gpu"]?.int == 2)
      #expect(container["env"]?[1]?["value"]?.string == "gpt2-showing-first-0-0.gpt2-showing")
      #expect(container["volumeMounts"]?.sequence?.count == 3 && pod["volumes"]?.sequence?.count == 3)
      #expect(container["command"]?.array() == ["bash", "-c", "exec bash /launch/torchrun.sh \"\""])
    }
    let started = try await run.run("kubernetes.sh")
    #expect(started.exitCode == 0, "\(started.errors)")
    #expect(try run.record("kubectl-create")?.contains("--from-file=some arguments.txt") == true)
    #expect(try run.record("kubectl-apply")?.last == String(printed.output.dropLast()))
    // As a pod runs it: the node's name tells which node of the plan it is.
    let pod = try await run.run(
      "torchrun.sh", [""], on: "gpt2-showing-others-0-0",
      environment: ["LAUNCH_NODE": "node7", "LAUNCH_MASTER_ADDR": "gpt2-showing-first-0-0.gpt2-showing"])
    #expect(pod.exitCode == 0, "\(pod.errors)")
    #expect(try run.ranks().map(\.rank) == ["2", "3"])
    #expect(try run.ranks().allSatisfy { $0.master == "gpt2-showing-first-0-0.gpt2-showing" })
  }

  @Test func podsWithoutNamedHostsTakeTheirIndex() async throws {
    let run = try ScriptRun(LaunchFolders.folder(LaunchFolders.countedPlan(), by: .kubernetes).files)
    try run.set([("DATA_PATH", "/data"), ("IMAGE", "image")])
    let printed = try await run.run("kubernetes.sh", ["print"])
    let job = try #require(try Yams.compose(yaml: printed.output)?["spec"]?["replicatedJobs"]?[0])
    #expect(job["template"]?["spec"]?["completions"]?.int == 2)
    let pod = try #require(job["template"]?["spec"]?["template"]?["spec"])
    #expect(pod["affinity"]?["nodeAffinity"] == nil)
    #expect(
      pod["containers"]?[0]?["command"]?.array()
        == ["bash", "-c", "exec bash /launch/torchrun.sh \"$JOB_COMPLETION_INDEX\""])
  }
}
