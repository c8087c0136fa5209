import Documents
import Foundation
import TestSupport
import Testing

/// Plans of clusters as people hand them in, through the command.
@Suite struct FieldPlanTests {
  private static let shape = ["--model", "llama-3-8b", "--sequence", "8192"]

  // MARK: 05: a measured collective

  /// Of ZeRO 3, which a framework has to be named for that has it.
  @Test func aSlowCollectiveMovesThePlan() async throws {
    let folder = try Workspace()
    let log = FieldCase.path("05-collective-changes-nothing/log.txt")
    let cluster = try String(
      contentsOfFile: FieldCase.path("05-collective-changes-nothing/cluster.json"), encoding: .utf8)
    try folder.write(cluster, to: "cluster.json")
    try folder.write(cluster.replacing(",\n \"measured\": \"links.json\"", with: ""), to: "nominal.json")
    try await folder.sextant("profile", "import", log, "--output", "links.json").succeeded()
    var seconds: [String: Double] = [:]
    for name in ["cluster", "nominal"] {
      let text = try await folder.sextant(
        ["plan", "--cluster", "\(name).json", "--output", "\(name)-plan.json", "--fix", "zero_stage=3"]
          + Self.shape + ["--global-batch", "96", "--framework", "torchtitan"]
      ).succeeded()
      #expect(text.contains("Priced by measured collectives") == (name == "cluster"))
      seconds[name] = try Plan(contentsOf: folder.file("\(name)-plan.json")).prediction.iterationSeconds
    }
    // 5.3 GB/s where 50 are described: what is sent takes about nine times as long.
    #expect(try #require(seconds["cluster"]) > 2 * #require(seconds["nominal"]))
    #expect(
      try await folder.sextant("explain", "cluster-plan.json").succeeded()
        .contains("inferred from all-reduce of 24 ranks on 3 nodes"))
    // A fit to them is tried, and it says why it is none: above 32 MiB the rate falls to a fifth.
    try await folder.sextant(
      "calibrate", "--device", "h100-sxm5-80gb", "--collectives", "links.json", "--output", "fitted.json"
    ).failed(65, "16 of 20 timed collectives are more than", "contradict one another")
  }

  // MARK: 08: a plan for a framework

  @Test func aPlanForAFrameworkHasLaunchFilesForIt() async throws {
    let folder = try Workspace()
    let plan = try await folder.sextant(
      ["plan", "--cluster", "dgx-h100-1", "--global-batch", "64", "--framework", "torchtitan", "--output", "plan.json"]
        + Self.shape
    ).succeeded()
    #expect(plan.contains("For torchtitan"))
    try await folder.sextant("export", "plan.json", "--for", "torchtitan", "--output", "launch").succeeded()
    #expect(try folder.names.contains("launch"))
    // A strategy that is known to run well there.
    let known = try await FieldCase.seconds(
      [
        "--cluster", "dgx-h100-1", "--global-batch", "64", "--framework", "torchtitan", "--strategy",
        "tensor=2,data=4,micro_batch=2,zero_stage=3,sequence_parallel=true",
      ] + Self.shape)
    #expect(try Plan(contentsOf: folder.file("plan.json")).prediction.iterationSeconds <= known * 1.01)
  }

  @Test func aDefaultPlanHasLaunchFilesForTheDefaultFramework() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      [
        "plan", "--cluster", FieldCase.path("08-plan-for-a-framework/cluster.json"), "--global-batch", "256",
        "--output", "plan.json",
      ] + Self.shape
    ).succeeded()
    let framework = try Plan(contentsOf: folder.file("plan.json")).question.framework
    #expect(framework == "megatron-lm")
    try await folder.sextant("export", "plan.json", "--for", framework, "--output", "launch").succeeded()
  }

  // MARK: 20: wrong keys

  @Test(arguments: [("estimate", "--strategy", "tp=8,pp=2"), ("plan", "--fix", "tp=2")])
  func aFrameworksWordForAKeyGetsAHint(command: String, option: String, text: String) async throws {
    try await Workspace().sextant(
      [command, "--cluster", "dgx-h100-1", "--global-batch", "64", option, text] + Self.shape
    ).failed(65, "\(option): unknown key \"tp\", did you mean \"tensor\"?")
  }
}
