import Foundation
import Testing

/// "No" is an answer with a reason and an exit code of its own, and writes nothing.
@Suite struct InfeasibleTests {
  @Test func aModelThatFitsNowhereSaysByHowMuchAndLeavesTheOutputAlone() async throws {
    let folder = try Workspace()
    try folder.write("what was there before", to: "plan.json")
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "megatron-1t", "--global-batch", "16", "--output", "plan.json"
    ).failed(2, "no feasible plan: none of", "on stage 0", "over the", "would fit with")
    #expect(try folder.text(of: "plan.json") == "what was there before")
    #expect(try folder.names == ["plan.json"])
  }

  @Test func aGlobalBatchBelowEveryDataDegreeIsNamed() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-128", "--model", "gpt2", "--global-batch", "1", "--output", "plan.json", "--json"
    ).failed(
      2, "no feasible plan: no strategy is possible", "global batch does not divide",
      "; would work with a global batch of ", " instead of 1, or 4 nodes instead of 128")
    #expect(try folder.names.isEmpty)
  }

  @Test func whatIsFixedMayBeImpossible() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix", "tensor=3"
    ).failed(2, "no feasible plan", "; would work with tensor=2 or tensor=4 instead of tensor=3\n")
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix", "tensor=8"
    ).failed(2, "tensor degree does not divide the attention heads")
  }

  @Test func aTimeLimitThatIsOverAtOnceLeavesAPlanThatSaysSo() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--time-limit", "1e-9", "--output",
      "plan.json"
    ).succeeded()
    #expect(text.contains("stopped by the time limit before any strategy was completed"))
    #expect(text.contains("how good it is nobody knows"))
    try await folder.sextant("verify", "plan.json").succeeded()
  }

  @Test func aTimeLimitThatIsOverAtOnceIsAFailureWhereNothingThatWasTriedFits() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "megatron-1t", "--global-batch", "16", "--time-limit", "1e-9",
      "--output", "plan.json"
    ).failed(1, "time limit")
    #expect(try folder.names.isEmpty)
  }

  @Test func oneDeviceNeedsNoLevelOfLinks() async throws {
    let folder = try Workspace()
    func cluster(_ deviceCount: Int) -> String {
      """
      {"schema": "sextant.cluster/1", "name": "workstation", "device": "v100-sxm2-32gb", "nodes": 1,
       "devices_per_node": \(deviceCount), "levels": []}
      """
    }
    try folder.write(cluster(1), to: "one.json")
    let request = ["--model", "gpt2", "--global-batch", "8", "--sequence", "1024"]
    try await folder.sextant(["plan", "--cluster", "one.json", "--output", "plan.json"] + request).succeeded()
    for command in ["verify", "explain", "dry-run"] { try await folder.sextant(command, "plan.json").succeeded() }
    try folder.write(cluster(2), to: "two.json")
    try await folder.sextant(["plan", "--cluster", "two.json"] + request)
      .failed(65, "two.json: 2 devices need a level of links")
  }
}
